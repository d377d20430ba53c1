//! Adapters that fill the session when it is asked.

use super::*;

/// Fills its session when it is asked, with one message at a time.
struct OnDemand {
    session: std::sync::Weak<Session>,
    generation: u32,
    left: Mutex<Vec<Incoming>>,
}

impl OnDemand {
    fn connect(session: &Arc<Session>, mut left: Vec<Incoming>) -> SessionConsumer {
        left.reverse();
        let (weak, generation) = (Arc::downgrade(session), session.assign(0));
        session.connect(Arc::new(OnDemand { session: weak, generation, left: Mutex::new(left) }))
    }
}

#[async_trait]
impl Link for OnDemand {
    fn refill(&self) -> usize {
        let Some(session) = self.session.upgrade() else { return 0 };
        assert!(session.is_awaited(), "else a record that comes now would be nobody's");
        let Some(next) = self.left.lock().unwrap().pop() else { return 0 };
        session.push_unannounced(0, self.generation, [next]);
        1
    }
    async fn flush(&self) -> Result<()> {
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_can_fills_the_session_when_it_is_asked() {
    let session = Session::new(subscription(), None, None);
    let mut consumer = OnDemand::connect(&session, vec![incoming(8, "a"), incoming(9, "a")]);
    let (first, second) = (consumer.receive(9).await.unwrap(), consumer.receive(9).await.unwrap());
    assert_eq!((payloads(&first), payloads(&second)), (vec![&b"8"[..]], vec![&b"9"[..]]));
    assert!(!session.is_awaited());
    let nothing = tokio::time::timeout(Duration::from_secs(1), consumer.receive(9)).await;
    assert!(nothing.is_err(), "there is no more");
    assert!(!session.is_awaited(), "who waited was cancelled");
    let mut receiving = Box::pin(consumer.receive(9));
    assert!(futures::poll!(&mut receiving).is_pending());
    assert!(session.is_awaited());
}

#[tokio::test(start_paused = true)]
async fn behind_what_may_not_be_handed_out_yet_the_adapter_is_asked_for_more() {
    let session = Session::new(subscription(), None, None);
    let left = vec![incoming(0, "a"), incoming(1, "a"), incoming(2, "b")];
    let mut consumer = OnDemand::connect(&session, left);
    let failed = consumer.receive(9).await.unwrap().pop().unwrap();
    failed.nack(Duration::from_secs(60)).await.unwrap();
    let started = Instant::now();
    assert_eq!(payloads(&consumer.receive(9).await.unwrap()), [b"2"]);
    assert!(started.elapsed() < Duration::from_secs(1), "the key of `1` waits, and that of `2` does not");
}
