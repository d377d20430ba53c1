//! The catalogue: what is found, drawn and written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod asyncapi;

use anybroker_core::{Event, Group, Topic};
use anybroker_patterns::catalogue::{Catalogue, FindingKind, Publication, Service};

macro_rules! events {
    ($($name:ident $version:literal $type:literal),*) => {
        $(
            #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
            struct $name {}
            impl Event for $name {
                const TYPE: &'static str = $type;
                const VERSION: u32 = $version;
            }
        )*
    };
}
events!(OrderPlaced 1 "order.placed", OrderPlaced2 2 "order.placed", PaymentTaken 1 "payment.taken", Quote 1 "quote", Quoted 1 "quoted", SendEmail 1 "SendEmail");

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn group(name: &str) -> Group {
    Group::new(name).unwrap()
}

fn placed() -> Publication {
    Publication::of::<OrderPlaced>(&topic("orders")).key("order")
}

fn consumer(service: Service) -> Service {
    service.consumes::<OrderPlaced>(&topic("orders"), &group("billing"))
}

fn kinds(catalogue: &Catalogue) -> Vec<FindingKind> {
    catalogue.findings().into_iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_sound_catalogue_has_nothing_remarkable() {
    let catalogue =
        Catalogue::new("shop").service("orders", |it| it.publishes(placed())).service("billing", consumer);
    assert_eq!(catalogue.findings(), []);
}

#[test]
fn invisible_coupling_is_found() {
    let shop = || Catalogue::new("shop");
    let nobody = shop().service("billing", consumer);
    assert_eq!(kinds(&nobody), [FindingKind::NobodyPublishes]);
    let elsewhere = nobody
        .service("orders", |it| it.publishes(Publication::of::<OrderPlaced>(&topic("other")).key("order")));
    assert_eq!(kinds(&elsewhere), [FindingKind::NobodyPublishes, FindingKind::NobodyConsumes]);
    assert!(elsewhere.findings()[0].reason.contains("orders publishes it to `other`"));
    let two = shop()
        .service("billing", consumer)
        .service("a", |it| it.publishes(placed()))
        .service("b", |it| it.publishes(placed()));
    assert_eq!(kinds(&two), [FindingKind::SeveralPublish]);
    let newer = shop()
        .service("billing", consumer)
        .service("orders", |it| it.publishes(Publication::of::<OrderPlaced2>(&topic("orders")).key("order")));
    assert_eq!(kinds(&newer), [FindingKind::NewerThanConsumer]);
    let unasked = shop().service("a", |it| it.asks::<Quote, Quoted>(&topic("x")));
    assert_eq!(kinds(&unasked), [FindingKind::NobodyAnswers]);
}

#[test]
fn events_that_are_no_facts_or_lack_something_are_found() {
    let catalogue = Catalogue::new("shop").service("a", |it| {
        it.publishes(Publication::of::<SendEmail>(&topic("emails")).key("customer"))
            .publishes(placed().size(1 << 20))
            .publishes(Publication::named("thing.changed", &topic("things")))
            .consumes::<SendEmail>(&topic("emails"), &group("a"))
    });
    let found = kinds(&catalogue);
    for kind in [FindingKind::Imperative, FindingKind::Large, FindingKind::NoVersion, FindingKind::NoKey] {
        assert_eq!(found.iter().filter(|it| **it == kind).count(), 1, "{kind:?} {found:?}");
    }
    assert!(!catalogue.findings_over(1 << 20).iter().any(|it| it.kind == FindingKind::Large));
}

fn asks(catalogue: Catalogue, from: &str, to: &str) -> Catalogue {
    let requests = topic(&format!("ask-{to}"));
    let catalogue = catalogue.service(from, |it| it.asks::<Quote, Quoted>(&requests));
    let answered = catalogue.services.get(to).is_some_and(|it| !it.answers.is_empty());
    if answered { catalogue } else { catalogue.service(to, |it| it.answers::<Quote, Quoted>(&requests)) }
}

#[test]
fn cycles_and_synchronous_chains_are_found() {
    let two = asks(Catalogue::new("shop"), "a", "b");
    assert_eq!(two.findings(), []);
    let three = asks(asks(two, "b", "c"), "b", "d");
    let chains: Vec<_> = three.findings().into_iter().map(|it| (it.kind, it.about)).collect();
    let chain = |text: &str| (FindingKind::SynchronousChain, text.to_owned());
    assert_eq!(chains, [chain("a → b → c"), chain("a → b → d")]);
    let circle = asks(asks(asks(Catalogue::new("shop"), "a", "b"), "b", "c"), "c", "a");
    assert_eq!(circle.findings()[0].about, "a → b → c → a");
    assert_eq!(kinds(&circle), [FindingKind::SynchronousCycle]);
    // Events alone: a note.
    let events = Catalogue::new("shop")
        .service("orders", |it| {
            it.publishes(placed()).consumes::<PaymentTaken>(&topic("payments"), &group("orders"))
        })
        .service("billing", |it| {
            consumer(it).publishes(Publication::of::<PaymentTaken>(&topic("payments")).key("order"))
        });
    let found = events.findings();
    assert_eq!((found.len(), found[0].kind, found[0].warning), (1, FindingKind::Cycle, false));
}

#[test]
fn programs_write_their_own_and_all_are_merged() {
    let one = Catalogue::new("shop").service("orders", |it| it.publishes(placed()));
    let other = Catalogue::new("x").service("billing", consumer);
    let read =
        |it: &Catalogue| -> Catalogue { serde_json::from_str(&serde_json::to_string(it).unwrap()).unwrap() };
    let merged = read(&one).merge(read(&other)).unwrap().merge(read(&one)).unwrap();
    let expected =
        Catalogue::new("shop").service("orders", |it| it.publishes(placed())).service("billing", consumer);
    assert_eq!(merged, expected);
    let clash = Catalogue::new("shop").service("orders", |it| it.publishes(placed().size(1)));
    assert_eq!(merged.merge(clash).unwrap_err().service, "orders");
}

#[test]
fn what_nobody_declared_is_drawn_too() {
    let catalogue = asks(Catalogue::new("a \"shop\""), "a", "b").service("billing", consumer);
    let (dot, mermaid, text) = (catalogue.dot(), catalogue.mermaid(), catalogue.text());
    assert!(
        dot.contains(r#"digraph "a \"shop\"""#)
            && dot.contains(r#""?" -> "billing" [label="order.placed", style=dashed"#),
        "{dot}"
    );
    assert!(
        mermaid.contains(r#"s0 ==>|"quote"| s1"#) && mermaid.contains(r#"s3 -.->|"order.placed"| s2"#),
        "{mermaid}"
    );
    assert!(text.contains("══ asks ══> b: quote") && text.contains("<─────────── ?: order.placed"), "{text}");
}
