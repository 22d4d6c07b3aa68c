use std::sync::{Arc, Mutex, MutexGuard};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A router that speaks what the requests of these tests need.
struct Router {
    gateway: Gateway<Tokio>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    address: &'static str,
    /// The outer port that another machine has.
    taken: Option<u16>,
    leases: bool,
    /// It does not say where it is.
    ill: bool,
    /// What it was asked for: action, protocol, outer port, lease.
    asked: Vec<String>,
}

impl Router {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let arguments = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let place = ["NewProtocol", "NewExternalPort"];
        let client = ["NewInternalClient", "NewInternalPort", "NewLeaseDuration"];
        let schema = [("AddPortMapping", arguments(&[place.as_slice(), &client].concat()))];
        let gateway = Gateway {
            addr: listener.local_addr().unwrap(),
            root_url: String::new(),
            control_url: "/control".to_owned(),
            control_schema_url: String::new(),
            control_schema: schema
                .into_iter()
                .chain([("DeletePortMapping", arguments(&place))])
                .map(|(action, arguments)| (action.to_owned(), arguments))
                .collect(),
            provider: Tokio,
        };
        let state = Arc::new(Mutex::new(State { address: "45.77.0.2", leases: true, ..State::default() }));
        tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { gateway, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked)
    }
}

fn fault(code: u16) -> String {
    format!(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError \
         xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode><errorDescription>no\
         </errorDescription></UPnPError></detail></s:Fault>"
    )
}

fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>{body}\
         </s:Body></s:Envelope>"
    )
}

fn consent(action: &str, fields: &str) -> String {
    let schema = "urn:schemas-upnp-org:service:WANIPConnection:1";
    format!("<u:{action}Response xmlns:u=\"{schema}\">{fields}</u:{action}Response>")
}

impl State {
    fn answer(&mut self, request: &str) -> String {
        let actions = ["GetExternalIPAddress", "AddPortMapping", "DeletePortMapping"];
        let action = actions.into_iter().find(|action| request.contains(&format!("#{action}"))).unwrap();
        if action == "GetExternalIPAddress" {
            if self.ill {
                return fault(501);
            }
            let address = format!("<NewExternalIPAddress>{}</NewExternalIPAddress>", self.address);
            return consent(action, &address);
        }
        let field = |name: &str| {
            let begin = request.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
            begin.and_then(|rest| rest.split_once("</")).map_or("", |(value, _)| value).to_owned()
        };
        let (port, lease) = (field("NewExternalPort"), field("NewLeaseDuration"));
        let asked = format!("{action} {} {port} {lease}", field("NewProtocol"));
        self.asked.push(asked.trim_end().to_owned());
        match action {
            "AddPortMapping" if self.taken.is_some_and(|taken| taken.to_string() == port) => fault(718),
            "AddPortMapping" if !self.leases && lease != "0" => fault(725),
            _ => consent(action, ""),
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        while !request.contains("</s:Envelope>") {
            let mut part = [0; 4096];
            let n = stream.read(&mut part).await.unwrap();
            request.push_str(std::str::from_utf8(&part[..n]).unwrap());
        }
        let body = envelope(&state.lock().unwrap().answer(&request));
        let status = if body.contains("Fault") { "500 Internal Server Error" } else { "200 OK" };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
    }
}

fn keeper() -> (Keeper, watch::Receiver<HashSet<Multiaddr>>) {
    let (told, addresses) = watch::channel(HashSet::new());
    let ports = [Port { udp: true, number: 4001 }, Port { udp: false, number: 4002 }];
    (Keeper::new(vec![Ipv4Addr::UNSPECIFIED], ports.into(), told), addresses)
}

async fn turn(keeper: &mut Keeper, router: &Router) -> Result<(), String> {
    let result = keeper.round(&router.gateway).await;
    keeper.tell();
    result
}

fn are(addresses: &watch::Receiver<HashSet<Multiaddr>>, expected: &[&str]) {
    let expected: HashSet<Multiaddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(*addresses.borrow(), expected);
}

#[tokio::test]
async fn ports_are_mapped_renewed_and_taken_back() {
    let (router, (mut keeper, addresses)) = (Router::start().await, keeper());
    let both = ["AddPortMapping TCP 4002 1200", "AddPortMapping UDP 4001 1200"];
    turn(&mut keeper, &router).await.unwrap();
    assert_eq!(router.asked(), both);
    are(&addresses, &["/ip4/45.77.0.2/udp/4001/quic-v1", "/ip4/45.77.0.2/tcp/4002"]);
    turn(&mut keeper, &router).await.unwrap();
    assert_eq!(router.asked(), both);
    keeper.take_back(&router.gateway).await;
    assert_eq!(router.asked(), ["DeletePortMapping TCP 4002", "DeletePortMapping UDP 4001"]);
}

#[tokio::test]
async fn another_address_of_the_router_is_noticed() {
    let (router, (mut keeper, addresses)) = (Router::start().await, keeper());
    turn(&mut keeper, &router).await.unwrap();
    router.state().address = "45.77.0.9";
    turn(&mut keeper, &router).await.unwrap();
    are(&addresses, &["/ip4/45.77.0.9/udp/4001/quic-v1", "/ip4/45.77.0.9/tcp/4002"]);
}

#[tokio::test]
async fn a_router_behind_another_one_maps_nothing() {
    let (router, (mut keeper, addresses)) = (Router::start().await, keeper());
    router.state().address = "100.64.0.2";
    turn(&mut keeper, &router).await.unwrap();
    are(&addresses, &[]);
    assert!(keeper.complaint.is_some_and(|text| text.contains("100.64.0.2")));
    assert!(router.asked().is_empty());
}

#[tokio::test]
async fn where_a_port_is_taken_another_one_is_mapped_and_kept() {
    let (router, (mut keeper, addresses)) = (Router::start().await, keeper());
    router.state().taken = Some(4002);
    turn(&mut keeper, &router).await.unwrap();
    let before = addresses.borrow().clone();
    assert_eq!(before.len(), 2);
    assert!(!before.contains(&"/ip4/45.77.0.2/tcp/4002".parse().unwrap()));
    router.state().taken = None;
    turn(&mut keeper, &router).await.unwrap();
    assert_eq!(*addresses.borrow(), before);
}

#[tokio::test]
async fn a_router_that_knows_no_leases_gets_mappings_without_end() {
    let (router, (mut keeper, addresses)) = (Router::start().await, keeper());
    router.state().leases = false;
    turn(&mut keeper, &router).await.unwrap();
    let lasting = ["1200", "0"].map(|lease| format!("AddPortMapping TCP 4002 {lease}"));
    assert_eq!(router.asked()[..2], lasting);
    assert_eq!(addresses.borrow().len(), 2);
    // They are not told for longer than they are renewed, and taken back all the same.
    for mapped in keeper.mapped.values_mut() {
        mapped.until = Instant::now();
    }
    keeper.tell();
    are(&addresses, &[]);
    router.asked();
    keeper.take_back(&router.gateway).await;
    assert_eq!(router.asked().len(), 2);
}

#[tokio::test]
async fn mappings_are_taken_back_also_after_a_round_that_failed() {
    let (router, (mut keeper, _addresses)) = (Router::start().await, keeper());
    turn(&mut keeper, &router).await.unwrap();
    router.asked();
    router.state().ill = true;
    let (stop, stopped) = oneshot::channel();
    stop.send(()).unwrap();
    keeper.run(Some(router.gateway.clone()), stopped).await;
    assert_eq!(router.asked(), ["DeletePortMapping TCP 4002", "DeletePortMapping UDP 4001"]);
}

#[tokio::test]
async fn a_router_that_is_gone_is_an_error_and_its_mappings_end() {
    let (router, (mut keeper, addresses)) = (Router::start().await, keeper());
    turn(&mut keeper, &router).await.unwrap();
    let mut gone = router.gateway.clone();
    gone.addr.set_port(1);
    assert!(keeper.round(&gone).await.is_err());
    keeper.tell();
    assert_eq!(addresses.borrow().len(), 2);
    for mapped in keeper.mapped.values_mut() {
        mapped.until = Instant::now();
    }
    keeper.tell();
    are(&addresses, &[]);
}

#[test]
fn only_private_ipv4_listeners_are_mapped() {
    let port = |text: &str| Port::of(&text.parse().unwrap());
    assert_eq!(port("/ip4/0.0.0.0/udp/4001/quic-v1"), Some(Port { udp: true, number: 4001 }));
    assert_eq!(port("/ip4/10.0.0.1/tcp/4002"), Some(Port { udp: false, number: 4002 }));
    assert_eq!(port("/ip6/::/tcp/4002"), None);
    let ports = BTreeSet::from([Port { udp: true, number: 4001 }]);
    for hosts in [["127.0.0.1"], ["45.77.0.2"], ["::"]] {
        let hosts: Vec<IpAddr> = hosts.iter().map(|host| host.parse().unwrap()).collect();
        assert!(PortMap::start(&hosts, ports.clone()).is_none());
    }
}
