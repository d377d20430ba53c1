//! The command line against real brokers, which must run: `anybroker brokers up`. Their addresses are read from
//! `ANYBROKER_KAFKA_URL` and the like; unset, they are the brokers' usual ones on this machine.

#[cfg(test)]
mod command;

#[cfg(test)]
mod scenarios;

#[cfg(test)]
fn with_parameter(url: &str, parameter: &str) -> String {
    format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' })
}

macro_rules! on_broker {
    ($module:ident, $variable:literal, $default:literal $(, $parameter:literal)?: $($scenario:ident),+ $(,)?) => {
        #[cfg(test)]
        mod $module {
            fn url() -> String {
                let url = std::env::var($variable).unwrap_or_else(|_| $default.to_owned());
                $(let url = super::with_parameter(&url, $parameter);)?
                url
            }

            $(
                #[test]
                fn $scenario() {
                    super::scenarios::$scenario(&url());
                }
            )+
        }
    };
}

on_broker! { kafka, "ANYBROKER_KAFKA_URL", "kafka://127.0.0.1:9092":
    everything_of_a_message_arrives,
    order_per_key_holds_for_many_lines,
    what_was_printed_does_not_come_again,
    no_more_than_max_is_taken,
    without_acknowledgement_all_come_again,
    a_signal_settles_what_was_printed,
    a_reader_who_leaves_loses_nothing,
    an_interrupted_publish_says_where_it_stopped,
    mistakes_are_exit_code_2_and_say_what_to_do,
    a_broker_that_is_down_is_an_error_in_time,
    topics_are_listed_purged_and_deleted,
    guarantees_are_probed,
    groups_and_their_lag_are_shown_and_alarmed_on,
    whoever_watches_the_lag_is_told_when_it_is_too_much,
    dead_letters_are_looked_at_and_stay,
    dead_letters_come_again_as_they_were,
    dead_letters_are_chosen_and_a_dry_run_changes_nothing,
    some_dead_letters_are_discarded_and_some_replayed,
    an_interrupted_replay_loses_nothing,
    a_doctor_finds_a_healthy_broker_and_leaves_nothing_behind,
    a_doctor_finds_what_a_topic_lacks,
}

on_broker! { rabbitmq, "ANYBROKER_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672":
    everything_of_a_message_arrives,
    order_per_key_holds_for_many_lines,
    what_was_printed_does_not_come_again,
    no_more_than_max_is_taken,
    without_acknowledgement_all_come_again,
    a_signal_settles_what_was_printed,
    a_reader_who_leaves_loses_nothing,
    an_interrupted_publish_says_where_it_stopped,
    mistakes_are_exit_code_2_and_say_what_to_do,
    a_broker_that_is_down_is_an_error_in_time,
    a_wrong_password_is_refused_and_not_printed,
    a_doctor_names_a_wrong_password_and_does_not_print_it,
    topics_are_listed_purged_and_deleted,
    guarantees_are_probed,
    groups_and_their_lag_are_shown_and_alarmed_on,
    whoever_watches_the_lag_is_told_when_it_is_too_much,
    dead_letters_are_looked_at_and_stay,
    dead_letters_come_again_as_they_were,
    dead_letters_are_chosen_and_a_dry_run_changes_nothing,
    some_dead_letters_are_discarded_and_some_replayed,
    an_interrupted_replay_loses_nothing,
    what_waits_behind_a_discarded_letter_waits_no_longer,
    a_doctor_finds_a_healthy_broker_and_leaves_nothing_behind,
    a_doctor_finds_what_a_topic_lacks,
}

// All groups of a server share one session timeout: this is that of the other tests.
on_broker! { nats, "ANYBROKER_NATS_URL", "nats://127.0.0.1:4222", "session_timeout=6s":
    dead_letters_are_looked_at_and_stay,
    dead_letters_come_again_as_they_were,
    dead_letters_are_chosen_and_a_dry_run_changes_nothing,
    some_dead_letters_are_discarded_and_some_replayed,
    an_interrupted_replay_loses_nothing,
}

on_broker! { sqs, "ANYBROKER_ELASTICMQ_URL", "sqs://us-east-1?endpoint=http://127.0.0.1:9324":
    dead_letters_are_looked_at_and_stay,
    dead_letters_come_again_as_they_were,
    dead_letters_are_chosen_and_a_dry_run_changes_nothing,
    some_dead_letters_are_discarded_and_some_replayed,
    an_interrupted_replay_loses_nothing,
}
