//! What an adversary does, in plain words.

use anybroker_memory::Deed;

/// Who does it.
pub(crate) fn subject(deed: Deed) -> &'static str {
    if deed == Deed::ProcessKilled { "a process" } else { "the broker" }
}

/// What is done.
pub(crate) fn of(deed: Deed) -> &'static str {
    match deed {
        Deed::PublishRefused => "refuses a message: it is certainly not stored",
        Deed::PublishLost => "never gets a message: its publisher gets no answer, and cannot know",
        Deed::ConfirmationLost => "stores a message, and its answer is lost: its publisher cannot know",
        Deed::ConfirmedLate => "stores a message, and confirms it only later",
        Deed::OpeningFails => "cannot be reached by a consumer that wants to begin",
        Deed::ConnectionBreaks => "loses the connection of a consumer: what it holds comes again",
        Deed::MemberExpelled => "takes partitions away from a consumer: what it holds comes again",
        Deed::CommitDelayed => "is not told of acknowledgements for now",
        Deed::AcksForgotten => "never hears of a consumer's last acknowledgements: these messages come again",
        Deed::FlushFails => "does not answer when acknowledgements are flushed",
        Deed::CloseFails => "does not answer when a consumer closes: its last acknowledgements are forgotten",
        Deed::AckAnswerLost => "takes an acknowledgement, and its answer is lost",
        Deed::CommitRefused => "refuses a transaction, as its group shares out anew: nothing of it happens",
        Deed::CommitLost => "never gets a commit: nothing of it happens, and nobody is told",
        Deed::CommitAnswerLost => "commits a transaction, and its answer is lost: nobody is told",
        Deed::DeliveryStalls => "delivers nothing of a partition for a while",
        Deed::MarkForgotten => "delivers again what looks like a first delivery",
        Deed::CountForgotten => "delivers again, and counts attempts anew",
        Deed::MarkedUnseen => "marks a first delivery as a redelivery",
        Deed::MessageLost => "loses a message without a word",
        Deed::DeliveredLate => "delivers a message after later ones",
        Deed::ProcessKilled => "is killed while it awaits something",
    }
}
