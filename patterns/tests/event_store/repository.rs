//! Aggregates: commands, conflicts, snapshots, the past.

use anybroker_core::Event;
use anybroker_patterns::event_store::testing::given;
use anybroker_patterns::event_store::{Aggregate, At, CommandError, EventStore, Repository, Store};
use anybroker_patterns::events;
use serde::{Deserialize, Serialize};

use crate::support::{Raw, on_both};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Deposited {
    cents: u64,
}
impl Event for Deposited {
    const TYPE: &'static str = "account.deposited";
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Withdrawn {
    cents: u64,
}
impl Event for Withdrawn {
    const TYPE: &'static str = "account.withdrawn";
}
events! {
    #[derive(Clone, Debug, PartialEq)]
    enum AccountEvent { Deposited(Deposited), Withdrawn(Withdrawn) }
}

#[derive(Clone)]
enum Command {
    Deposit(u64),
    Withdraw(u64),
    Nothing,
}
#[derive(Debug, PartialEq)]
struct Insufficient(u64);

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    balance: u64,
}
impl Aggregate for Account {
    const NAME: &'static str = "account";
    type Command = Command;
    type Event = AccountEvent;
    type Error = Insufficient;
    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited(event) => self.balance += event.cents,
            AccountEvent::Withdrawn(event) => self.balance -= event.cents,
        }
    }
    fn decide(&self, command: Command) -> Result<Vec<AccountEvent>, Insufficient> {
        match command {
            Command::Deposit(cents) => Ok(vec![Deposited { cents }.into()]),
            Command::Withdraw(cents) if cents <= self.balance => Ok(vec![Withdrawn { cents }.into()]),
            Command::Withdraw(_) => Err(Insufficient(self.balance)),
            Command::Nothing => Ok(Vec::new()),
        }
    }
}

on_both!(
    a_command_is_decided_on_the_state_that_it_changes,
    many_commands_at_once_lose_no_money,
    a_snapshot_saves_reading_and_changes_nothing,
    the_past_can_be_loaded,
);

async fn a_command_is_decided_on_the_state_that_it_changes<D: Store>(store: EventStore<D>) {
    let accounts = Repository::<Account, D>::new(store);
    let done = accounts.execute_with("1", Command::Deposit(5), |event| event.by("ann")).await.unwrap();
    assert_eq!((done.state.balance, done.version, done.events.len()), (5, 1, 1));
    let refused = accounts.execute("1", Command::Withdraw(6)).await;
    assert!(matches!(refused, Err(CommandError::Rejected(Insufficient(5)))));
    assert_eq!(accounts.execute("1", Command::Nothing).await.unwrap().version, 1);
    let stored = accounts.store().read("account-1", 1, 10).await.unwrap().events;
    assert_eq!((stored.len(), stored[0].metadata.actor.as_deref()), (1, Some("ann")));

    let mut transaction = accounts.store().begin().await.unwrap();
    for cents in [1, 2] {
        accounts.execute_in(&mut transaction, "1", Command::Withdraw(cents), |event| event).await.unwrap();
    }
    transaction.commit().await.unwrap();
    assert_eq!(accounts.load("1", At::Latest).await.unwrap(), (Account { balance: 2 }, 3));
}

async fn many_commands_at_once_lose_no_money<D: Store>(store: EventStore<D>) {
    let accounts = || Repository::<Account, D>::new(store.clone()).with_attempts(1_000);
    accounts().execute("1", Command::Deposit(10)).await.unwrap();
    let commands = (0..12).map(|_| {
        let accounts = accounts();
        tokio::spawn(async move { accounts.execute("1", Command::Withdraw(1)).await })
    });
    let outcomes = futures::future::join_all(commands).await;
    let done = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().is_ok()).count();
    let refused = |o: &Result<_, _>| matches!(o, Err(CommandError::Rejected(Insufficient(0))));
    let refused = outcomes.iter().filter(|outcome| refused(outcome.as_ref().unwrap())).count();
    assert_eq!((done, refused), (10, 2));
}

async fn a_snapshot_saves_reading_and_changes_nothing<D: Raw>(store: EventStore<D>) {
    let accounts = |version| Repository::<Account, D>::new(store.clone()).with_snapshots(version, 3);
    for _ in 0..7 {
        accounts(1).execute("1", Command::Deposit(1)).await.unwrap();
    }
    assert_eq!(store.snapshot("account-1", 1).await.unwrap().unwrap().version, 6);
    // What the snapshot has in it is not read again: without it, this would be noticed.
    store.database().raw("update anybroker_events set data = '{}' where version = 2").await.unwrap();
    assert_eq!(accounts(1).load("1", At::Latest).await.unwrap(), (Account { balance: 7 }, 7));
    assert!(accounts(2).load("1", At::Latest).await.is_err(), "another version's snapshot is not used");
    assert!(
        accounts(1).load("1", At::Version(5)).await.is_err(),
        "nor one that is later than what is asked for"
    );
    let data = r#"update anybroker_events set data = '{"cents":1}' where version = 2"#;
    store.database().raw(data).await.unwrap();
    store.database().raw("update anybroker_event_snapshots set data = 'no JSON'").await.unwrap();
    assert_eq!(accounts(1).load("1", At::Latest).await.unwrap().0.balance, 7);
    assert_eq!(accounts(2).execute("1", Command::Deposit(1)).await.unwrap().version, 8);
    assert_eq!(store.snapshot("account-1", 2).await.unwrap().unwrap().version, 8);
}

async fn the_past_can_be_loaded<D: Store>(store: EventStore<D>) {
    let accounts = Repository::<Account, D>::new(store);
    for cents in [1, 10, 100] {
        accounts.execute("1", Command::Deposit(cents)).await.unwrap();
    }
    assert_eq!(accounts.load("1", At::Version(2)).await.unwrap(), (Account { balance: 11 }, 2));
    let second = accounts.store().read("account-1", 2, 1).await.unwrap().events[0].metadata.time;
    assert_eq!(accounts.load("1", At::Time(second)).await.unwrap().1, 2);
    assert_eq!(accounts.load("new", At::Latest).await.unwrap(), (Account::default(), 0));
}

#[test]
fn given_when_then() {
    given::<Account>([Deposited { cents: 5 }.into()])
        .when(Command::Withdraw(2))
        .then([Withdrawn { cents: 2 }.into()])
        .when(Command::Nothing)
        .then([])
        .when(Command::Withdraw(4))
        .then_error(Insufficient(3));
}

#[test]
#[should_panic(expected = "something else")]
fn a_wrong_expectation_is_noticed() {
    given::<Account>([]).when(Command::Deposit(1)).then([]);
}
