#![allow(clippy::unwrap_used)]

use super::{Answer, Lease, answer, client};
use crate::plan::Mac;
use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable as _, Decoder, Encodable as _};
use std::net::Ipv4Addr;

const MAC: [u8; 6] = [0xfa, 0x16, 0x3e, 0, 0, 5];
const IP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 5);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 2);
const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn lease() -> Lease {
    Lease {
        ip: IP,
        net: "10.20.0.0/24".parse().unwrap(),
        server: SERVER,
        gateway: Some([10, 20, 0, 1].into()),
        dns: vec![[9, 9, 9, 9].into()],
        routes: vec![("192.168.0.0/16".parse().unwrap(), [10, 20, 0, 3].into())],
        mtu: 1450,
    }
}

fn request(kind: MessageType, ciaddr: Ipv4Addr, options: &[DhcpOption]) -> Message {
    let mut message = Message::new_with_id(7, ciaddr, NONE, NONE, NONE, &MAC);
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    for option in options {
        message.opts_mut().insert(option.clone());
    }
    message
}

/// The answer, after a journey over the wire.
fn asked(message: &Message) -> Option<Answer> {
    let mut answer = answer(message, &lease(), "guest", "lab")?;
    let bytes = answer.message.to_vec().unwrap();
    answer.message = Message::decode(&mut Decoder::new(&bytes)).unwrap();
    Some(answer)
}

fn kind(message: &Message) -> Option<MessageType> {
    asked(message).and_then(|a| a.message.opts().msg_type())
}

#[test]
fn an_offer_has_all_a_guest_needs() {
    let id = DhcpOption::ClientIdentifier(vec![1, 2, 3]);
    let answer = asked(&request(MessageType::Discover, NONE, std::slice::from_ref(&id))).unwrap();
    let message = answer.message;
    assert_eq!(
        (message.opcode(), message.xid(), message.yiaddr(), message.siaddr()),
        (Opcode::BootReply, 7, IP, SERVER)
    );
    assert_eq!((answer.from, answer.to, message.chaddr()), (SERVER, IP, &MAC[..]));
    let get = |code| message.opts().get(code).cloned();
    assert_eq!(message.opts().msg_type(), Some(MessageType::Offer));
    assert_eq!(get(OptionCode::ServerIdentifier), Some(DhcpOption::ServerIdentifier(SERVER)));
    assert_eq!(get(OptionCode::ClientIdentifier), Some(id));
    assert_eq!(get(OptionCode::SubnetMask), Some(DhcpOption::SubnetMask([255, 255, 255, 0].into())));
    assert_eq!(get(OptionCode::Router), Some(DhcpOption::Router(vec![[10, 20, 0, 1].into()])));
    assert_eq!(get(OptionCode::DomainNameServer), Some(DhcpOption::DomainNameServer(vec![[9, 9, 9, 9].into()])));
    assert_eq!(get(OptionCode::InterfaceMtu), Some(DhcpOption::InterfaceMtu(1450)));
    assert_eq!(get(OptionCode::Hostname), Some(DhcpOption::Hostname("guest".into())));
    assert_eq!(get(OptionCode::DomainName), Some(DhcpOption::DomainName("lab".into())));
    assert_eq!(get(OptionCode::AddressLeaseTime), Some(DhcpOption::AddressLeaseTime(86_400)));
    let route = |net: &str, hop: [u8; 4]| (net.parse().unwrap(), hop.into());
    assert_eq!(
        get(OptionCode::ClasslessStaticRoute),
        Some(DhcpOption::ClasslessStaticRoute(vec![
            route("169.254.169.254/32", [10, 20, 0, 2]),
            route("192.168.0.0/16", [10, 20, 0, 3]),
            route("0.0.0.0/0", [10, 20, 0, 1]),
        ]))
    );
}

#[test]
fn each_state_of_a_client_is_answered() {
    let wants = |ip: [u8; 4]| DhcpOption::RequestedIpAddress(ip.into());
    let server = DhcpOption::ServerIdentifier;
    let right = wants([10, 20, 0, 5]);
    let request = |ciaddr, options: &[DhcpOption]| request(MessageType::Request, ciaddr, options);
    // Selecting.
    assert_eq!(kind(&request(NONE, &[right.clone(), server(SERVER)])), Some(MessageType::Ack));
    assert_eq!(kind(&request(NONE, &[wants([10, 20, 0, 6]), server(SERVER)])), Some(MessageType::Nak));
    assert_eq!(kind(&request(NONE, &[right.clone(), server([10, 20, 0, 99].into())])), None, "chose another");
    // Rebooted, also after we restarted: nothing needs to be remembered.
    assert_eq!(kind(&request(NONE, &[right])), Some(MessageType::Ack));
    assert_eq!(kind(&request(NONE, &[wants([192, 168, 0, 5])])), Some(MessageType::Nak));
    // Renewing and rebinding.
    let renewed = asked(&request(IP, &[])).unwrap();
    assert_eq!((renewed.message.opts().msg_type(), renewed.to), (Some(MessageType::Ack), IP));
    assert_eq!(kind(&request([10, 20, 0, 6].into(), &[])), Some(MessageType::Nak));
    // Asking for nothing.
    assert_eq!(kind(&request(NONE, &[])), Some(MessageType::Nak));
}

#[test]
fn a_refusal_says_no_more_than_that() {
    let wrong = DhcpOption::RequestedIpAddress([10, 20, 0, 6].into());
    let nak = asked(&request(MessageType::Request, NONE, &[wrong])).unwrap();
    assert_eq!((nak.to, nak.message.yiaddr()), (Ipv4Addr::BROADCAST, NONE));
    assert!(nak.message.flags().broadcast());
    assert!(nak.message.opts().get(OptionCode::SubnetMask).is_none());
}

#[test]
fn information_is_given_without_a_lease() {
    let told = asked(&request(MessageType::Inform, IP, &[])).unwrap();
    assert_eq!((told.to, told.message.yiaddr(), told.message.ciaddr()), (IP, NONE, IP));
    assert_eq!(told.message.opts().msg_type(), Some(MessageType::Ack));
    assert!(told.message.opts().get(OptionCode::AddressLeaseTime).is_none());
    assert!(told.message.opts().get(OptionCode::DomainNameServer).is_some());
}

#[test]
fn what_needs_no_answer_gets_none() {
    for silent in [MessageType::Decline, MessageType::Release, MessageType::Offer, MessageType::Ack] {
        assert_eq!(kind(&request(silent, IP, &[])), None, "{silent:?}");
    }
    assert_eq!(kind(&Message::new_with_id(7, NONE, NONE, NONE, NONE, &MAC)), None, "BOOTP");
}

#[test]
fn the_broadcast_flag_is_heard() {
    let mut message = request(MessageType::Discover, NONE, &[]);
    message.set_flags(Flags::default().set_broadcast());
    let answer = asked(&message).unwrap();
    assert_eq!(answer.to, Ipv4Addr::BROADCAST);
    assert!(answer.message.flags().broadcast());
}

#[test]
fn only_direct_ethernet_clients_are_known() {
    let message = request(MessageType::Discover, NONE, &[]);
    assert_eq!(client(&message), Some(Mac(MAC)));
    let mut relayed = message.clone();
    relayed.set_giaddr([10, 0, 0, 1]);
    assert_eq!(client(&relayed), None);
    let mut reply = message.clone();
    reply.set_opcode(Opcode::BootReply);
    assert_eq!(client(&reply), None);
    let mut long = message;
    long.set_chaddr(&[1; 16]);
    assert_eq!(client(&long), None);
    // A length beyond the field, as only a forger writes it.
    let mut bytes = request(MessageType::Discover, NONE, &[]).to_vec().unwrap();
    bytes[2] = 255;
    if let Ok(forged) = Message::decode(&mut Decoder::new(&bytes)) {
        assert_eq!(client(&forged), None);
    }
}

#[test]
fn a_name_that_fits_no_option_is_left_out() {
    let long = "x".repeat(300);
    let answer = answer(&request(MessageType::Discover, NONE, &[]), &lease(), &long, "").unwrap();
    assert!(answer.message.opts().get(OptionCode::Hostname).is_none());
    assert!(answer.message.opts().get(OptionCode::DomainName).is_none());
}
