//! Export and import as JSON Lines.

use std::time::{Duration, UNIX_EPOCH};

use anybroker_patterns::event_store::{EventStore, Recorded, Store};
use futures::{StreamExt, TryStreamExt};

use crate::support::{event, follow, on_both, put, put_all, sqlite};

on_both!(an_export_is_imported_without_loss, a_bad_line_changes_nothing);

async fn lines<D: Store>(store: &EventStore<D>) -> Vec<String> {
    store.export().try_collect().await.unwrap()
}

async fn import<D: Store>(store: &EventStore<D>, lines: &[String]) -> anybroker_core::Result<u64> {
    store.import(futures::stream::iter(lines.to_vec()).map(Ok)).await
}

fn without_position(mut event: Recorded) -> Recorded {
    event.position = 0;
    event
}

async fn an_export_is_imported_without_loss<D: Store>(store: EventStore<D>) {
    put(&store, "a", &["1"]).await;
    let mut odd =
        event("2").at(UNIX_EPOCH - Duration::from_micros(7)).by("ä").with_header("h", "\n\"").caused_by("c");
    odd.data = vec![0, 255].into();
    let mut spaced = event("3");
    spaced.data = "{ \"b\" : 1,\n \"a\": 1.0 }".into();
    put_all(&store, "b", &[odd, spaced]).await;
    put_all(&store, "a", &(0..1_200).map(|_| event("e")).collect::<Vec<_>>()).await;
    let mut t = store.begin().await.unwrap();
    store.archive(&mut t, "b").await.unwrap();
    t.commit().await.unwrap();

    let exported = lines(&store).await;
    assert_eq!(exported.len(), 1_204);
    assert!(exported.iter().all(|line| !line.contains('\n')));
    sqlite(|other| async move {
        assert_eq!(import(&other, &exported).await.unwrap(), 1_203);
        assert_eq!(lines(&other).await, exported, "and out again, byte for byte");
        let all = |events: Vec<Recorded>| events.into_iter().map(without_position).collect::<Vec<_>>();
        let (here, there) =
            (follow(&mut store.subscribe(0), 1_203).await, follow(&mut other.subscribe(0), 1_203).await);
        assert_eq!(all(here), all(there));
        assert_eq!(
            store.read("b", 1, 1).await.unwrap().archived,
            other.read("b", 1, 1).await.unwrap().archived
        );
        let again = import(&other, &exported).await.unwrap_err();
        assert!(
            again.to_string().contains("line 1: it is event 1 of stream `a`, which has 1201 here"),
            "{again}"
        );
    })
    .await;
}

async fn a_bad_line_changes_nothing<D: Store>(store: EventStore<D>) {
    put(&store, "a", &["1", "2"]).await;
    let good = lines(&store).await;
    let third = good[1].replace("\"version\":2", "\"version\":3");
    for (bad, text) in [
        ("{".to_owned(), "EOF"),
        (good[1].replace("\"stream\"", "\"strom\""), "strom"),
        (good[1].replace("\"id\":\"", "\"id\":\"x"), "UUID"),
        (good[1].replace("\"version\":2", "\"version\":0"), "versions begin with 1"),
        (good[1].replace("\"version\":2", "\"version\":4"), "event 4 of stream `b`, which has 1"),
        (good[1].replace("\"data\"", "\"data_base64\""), "Base64"),
        (good[1].replace("\"stream\":\"a\"", "\"stream\":\"\""), "stream name"),
        ("{\"kind\":\"archived\",\"stream\":\"none\",\"archived_at\":1}".to_owned(), "no stream `none`"),
        ("{\"kind\":\"other\"}".to_owned(), "other"),
    ] {
        let file =
            [good[0].clone(), String::new(), bad, third.clone()].map(|line| line.replace("\"a\"", "\"b\""));
        let error = import(&store, &file).await.unwrap_err().to_string();
        assert!(
            error.contains("line 3") && error.contains(text) && error.contains("nothing was imported"),
            "{error}"
        );
        assert_eq!(store.read("b", 1, 10).await.unwrap().version, 0);
    }
    assert_eq!(lines(&store).await, good);
}
