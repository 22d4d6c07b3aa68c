use super::*;

const JUST_BEFORE: Duration = Duration::from_millis(2_999);

/// A node that gets messages, numbered, at chosen instants after its start.
struct Scene {
    kept: Kept,
    start: Instant,
    count: u32,
}

impl Scene {
    fn new() -> Self {
        Self { kept: Kept::default(), start: Instant::now(), count: 0 }
    }

    /// Returns the numbers of those that gossip has to forget.
    fn hear(&mut self, topic: &str, bytes: usize, after: Duration) -> Vec<u32> {
        let id = MessageId::new(&self.count.to_be_bytes());
        self.count += 1;
        let message = KeptMessage { id, source: PeerId::random(), bytes, at: self.start + after };
        let forgotten = self.kept.add(TopicHash::from_raw(topic), message);
        forgotten.map(|message| u32::from_be_bytes(message.id.0.try_into().unwrap())).collect()
    }
}

#[test]
fn the_oldest_leaves_for_each_that_comes_above_the_bound() {
    let mut scene = Scene::new();
    for _ in 0..MAX_MESSAGES {
        assert!(scene.hear("a", 200, Duration::ZERO).is_empty());
    }
    assert_eq!(scene.hear("a", 200, Duration::ZERO), [0]);
    assert_eq!(scene.hear("a", 200, Duration::ZERO), [1]);
}

#[test]
fn large_ones_leave_by_their_bytes() {
    let mut scene = Scene::new();
    for _ in 0..MAX_BYTES >> 20 {
        assert!(scene.hear("a", 1 << 20, Duration::ZERO).is_empty());
    }
    assert_eq!(scene.hear("a", 1, Duration::ZERO), [0]);
    // What left has made room.
    assert!(scene.hear("a", 1, Duration::ZERO).is_empty());
}

#[test]
fn one_topic_takes_nothing_from_another() {
    let mut scene = Scene::new();
    scene.hear("calm", 200, Duration::ZERO);
    for number in 1..=2 * MAX_MESSAGES {
        let forgotten = scene.hear("flooded", 200, Duration::ZERO);
        assert_eq!(forgotten.is_empty(), number <= MAX_MESSAGES);
        assert!(!forgotten.contains(&0));
    }
}

#[test]
fn what_is_announced_no_more_is_left_to_gossip() {
    let mut scene = Scene::new();
    for _ in 0..MAX_MESSAGES {
        scene.hear("a", 200, Duration::ZERO);
    }
    assert_eq!(scene.hear("a", 200, JUST_BEFORE), [0]);
    for _ in 0..MAX_MESSAGES - 1 {
        assert!(scene.hear("a", 200, ANNOUNCED).is_empty());
    }
    assert_eq!(scene.hear("a", 200, ANNOUNCED).len(), 1);
}

#[test]
fn nothing_is_left_of_a_topic_that_fell_silent() {
    let mut scene = Scene::new();
    scene.hear("silent", 200, Duration::ZERO);
    scene.hear("busy", 200, JUST_BEFORE);
    scene.kept.forget_old(scene.start + ANNOUNCED);
    assert_eq!(scene.kept.0.keys().collect::<Vec<_>>(), [&TopicHash::from_raw("busy")]);
}
