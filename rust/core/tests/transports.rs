//! Events cross every transport and security protocol, each by itself.

mod support;

use depinmesh_core::{config::TcpSecurity, events::NodeEvent, identity::SecretKey};
use support::{Host, config};

/// Two nodes that share nothing but this transport exchange events both ways.
fn exchange(quic: bool, tcp: Option<TcpSecurity>, transport: &str) {
    let mut a = Host::start(SecretKey::generate(), config(quic, tcp));
    let mut b = Host::start(SecretKey::generate(), config(quic, tcp));
    let (key_a, key_b) = (a.key.wallet().to_string(), b.key.wallet().to_string());
    let entries = || [&key_a, &key_b].map(|text| depinmesh_core::gate::Entry::Text(text.clone())).to_vec();
    let db_a = a.node.attach("db", depinmesh_core::gate::WalletSource::List(entries())).expect("opens");
    let db_b = b.node.attach("db", depinmesh_core::gate::WalletSource::List(entries())).expect("opens");
    let address = b.node.addresses().first().expect("b listens").clone();
    a.dial(&address).expect("a reaches b");
    b.until("b sees a", |b| b.events.iter().any(|event| matches!(event, NodeEvent::PeerConnected { .. })));
    assert_eq!(a.node.peers(None)[0].transport, transport);

    let (sub_a, sub_b) = (a.subscribe(db_a, "t"), b.subscribe(db_b, "t"));
    a.wait_for_peers(db_a, "t", 1);
    b.wait_for_peers(db_b, "t", 1);
    for i in 0..100 {
        a.node.publish(db_a, "t", format!("{{\"a\":{i}}}").as_bytes()).expect("room in the queue");
        b.node.publish(db_b, "t", format!("{{\"b\":{i}}}").as_bytes()).expect("room in the queue");
    }
    let (from_b, from_a) = (a.receive(&sub_a, 100), b.receive(&sub_b, 100));
    for (events, author, key) in [(from_a, a.key.wallet(), "a"), (from_b, b.key.wallet(), "b")] {
        assert_eq!(events.len(), 100);
        assert!(events.iter().all(|event| event.author.wallet == author));
        let mut texts: Vec<_> = events.iter().map(|event| event.message_json().to_vec()).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 100, "nothing twice");
        assert!(texts.iter().all(|text| text.starts_with(format!("{{\"{key}\":").as_bytes())));
    }
    a.close();
    b.close();
}

#[test]
fn quic_alone() {
    exchange(true, None, "quic");
}

#[test]
fn tcp_with_noise_alone() {
    exchange(false, Some(TcpSecurity::NoiseOnly), "tcp");
}

#[test]
fn tcp_with_tls_alone() {
    exchange(false, Some(TcpSecurity::TlsOnly), "tcp");
}
