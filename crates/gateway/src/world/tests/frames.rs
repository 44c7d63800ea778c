//! Valid frames of both dialects, one template for every request that is served, and ways to spoil
//! them: what a broken client, a broken link or an attacker who knows the protocol sends.
//!
//! Templates are written in the text dialect; read and encoded again they are those of protobuf.

use crate::message::Request;
use crate::message::data::MarketDataRequest;
use crate::message::session::{ByRequest, Empty};
use crate::wire;
use market::instrument::ConId;
use proptest::prelude::*;

/// Served in protobuf alone.
const WITHOUT_TEXT: [i32; 3] = [105, 106, 107];
/// The fields of an order behind its `hidden` flag, for an order that uses none of them.
const ORDER_TAIL: usize = 55;

/// The templates, fields parted by `|`. `R` is a request's number, `O` an order's, `C` a client's,
/// `S` the stock's contract and `A` an option's.
const TEMPLATES: &[&str] = &[
    "1|11|R|S|0|233|0|0|",
    "1|11|R|A|0|||1|0|",
    "2|2|R",
    "3|O|S|||BUY|5|LMT|99.5||DAY||DU1|||ref|1|0|0|0||0|0|0|T",
    "3|O|S|||SELL|3|MKT|||GTC||DU1||0||1|0|0|0||0|0|0|T",
    "3|O|S|||BUY|2|STP LMT|101|100.5|GTC|group|DU1||0||1|0|0|0||0|0|0|T",
    "3|O|A|||BUY|1|LMT|5||IOC||DU1||0||0|O|0|0||0|0|0|T",
    "3|O|0|SIM|BAG||0|||SMART||USD|||||BUY|1|LMT|0.5||DAY||DU1||0||1|0|0|0||0|0|0\
     |2|X|1|BUY|SMART|0|0||-1|Y|1|SELL|SMART|0|0||-1|0|0|T",
    "4|1|O|",
    "5|1",
    "6|2|1|DU1",
    "7|3|R|0||||||",
    "8|1|1",
    "9|8|R|S|0|||",
    "9|8|R|0|SIM|OPT||0|||SMART||USD|||0|||",
    "12|1|1",
    "13|1",
    "14|1|5",
    "15|1|1",
    "16|1",
    "17|1",
    "20|R|S|0||1 min|1 D|1|TRADES|1|1|",
    "21|2|O|X|SIM|OPT||0|C|100|SMART|USD|||1|1|DU1|0",
    "25|1|R",
    "49|1",
    "50|3|R|S|5|TRADES|1|",
    "51|1|R",
    "54|1|R|A|5.5|100||",
    "55|1|R|A|0.3|100||",
    "56|1|R",
    "57|1|R",
    "58|1",
    "59|1|3",
    "61|1",
    "62|1|R|All|TotalCashValue,NetLiquidation",
    "63|1|R",
    "64|1",
    "71|2|C|",
    "74|1|R|DU1|",
    "75|1|R",
    "76|1|R|DU1||1",
    "77|1|R",
    "78|R|SIM||STK|1001",
    "81|R|SI",
    "84|R|SIMN|SIMN$1|",
    "85",
    "86|R|1001|SIMN|||10|",
    "87|R|S|0|1|TRADES|1",
    "90|R",
    "91|26",
    "92|R|DU1|",
    "93|R",
    "94|R|DU1||1001",
    "95|R",
    "96|R|S|0||20261120 10:30:00 UTC|10|TRADES|1|0|",
    "97|R|S|BidAsk|0|1",
    "98|R",
    "99|1",
    "104|1",
];

/// One way to spoil a frame's body. Places are taken modulo what there is.
#[derive(Clone, Debug)]
pub enum Spoiling {
    FlipBit(u16),
    Truncate(u16),
    DuplicateField(u8),
    RemoveField(u8),
    SwapFields(u8, u8),
    ReplaceField(u8, String),
    Insert(u16, Vec<u8>),
    /// Inside a message that is a field (protobuf), else in the frame itself.
    Inside(u8, Box<Spoiling>),
}

pub fn spoiling(word: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Spoiling> {
    let bytes = prop::collection::vec(any::<u8>(), 1..8);
    let flat = prop_oneof![
        3 => any::<u16>().prop_map(Spoiling::FlipBit),
        1 => any::<u16>().prop_map(Spoiling::Truncate),
        2 => any::<u8>().prop_map(Spoiling::DuplicateField),
        1 => any::<u8>().prop_map(Spoiling::RemoveField),
        2 => any::<(u8, u8)>().prop_map(|(one, other)| Spoiling::SwapFields(one, other)),
        3 => (any::<u8>(), word).prop_map(|(at, word)| Spoiling::ReplaceField(at, word)),
        1 => (any::<u16>(), bytes).prop_map(|(at, bytes)| Spoiling::Insert(at, bytes)),
    ];
    flat.prop_recursive(2, 4, 1, |inner| {
        (any::<u8>(), inner).prop_map(|(at, inner)| Spoiling::Inside(at, Box::new(inner)))
    })
}

/// A request as it should be, before it is spoiled.
#[derive(Clone, Debug)]
pub struct Valid {
    pub template: usize,
    pub request: u8,
    pub order: u8,
}

pub fn valid() -> impl Strategy<Value = Valid> {
    let all = 0..TEMPLATES.len() + WITHOUT_TEXT.len();
    (all, 1..12_u8, 1..8_u8).prop_map(|(template, request, order)| Valid {
        template,
        request,
        order,
    })
}

impl Valid {
    /// The body of its frame in the text dialect; what that has no words for is a broken number.
    fn text(&self, client: i32, [call, other]: [ConId; 2]) -> Vec<u8> {
        let Some(template) = TEMPLATES.get(self.template) else {
            return format!("{}\0", WITHOUT_TEXT[self.template - TEMPLATES.len()]).into_bytes();
        };
        let (stock, option) = ("1001|SIM|STK||0|||SMART||USD||", "|SIM|OPT||0||100|SMART||USD||");
        let fields = template.split('|').map(|field| match field {
            "R" => self.request.to_string(),
            "O" => self.order.to_string(),
            "C" => client.to_string(),
            "S" => stock.to_owned(),
            "A" => format!("{}{option}", call.0),
            "X" => call.0.to_string(),
            "Y" => other.0.to_string(),
            "T" => "|".repeat(ORDER_TAIL - 1),
            field => field.to_owned(),
        });
        let fields: Vec<String> = fields.collect();
        format!("{}\0", fields.join("|").replace('|', "\0")).into_bytes()
    }

    /// The body of a start, as it should be.
    pub fn start(is_text: bool, client: i32) -> Vec<u8> {
        let template =
            TEMPLATES.iter().position(|one| one.starts_with("71|")).expect("it is there");
        let start = Self { template, request: 1, order: 1 };
        start.body(is_text, client, [ConId(0); 2], &[])
    }

    fn protobuf(&self, client: i32, calls: [ConId; 2]) -> Vec<u8> {
        let request = match self.template.checked_sub(TEMPLATES.len()) {
            Some(0) => Request::CurrentTimeMillis(Empty {}),
            Some(one) => {
                let by = ByRequest { req_id: i32::from(self.request) };
                if one == 1 {
                    Request::CancelContractData(by)
                } else {
                    Request::CancelHistoricalTicks(by)
                }
            }
            None => wire::read_request(&self.text(client, calls), 178).expect("a valid template"),
        };
        [&(request.id() + 200).to_be_bytes()[..], &request.encode()].concat()
    }

    /// The body of its frame, spoiled.
    pub fn body(
        &self,
        is_text: bool,
        client: i32,
        calls: [ConId; 2],
        spoilings: &[Spoiling],
    ) -> Vec<u8> {
        if is_text {
            let body = self.text(client, calls);
            return spoilings.iter().fold(body, |body, one| spoil(body, one, &parts_of_text));
        }
        let body = self.protobuf(client, calls);
        let (number, fields) = body.split_at(4);
        let fields = fields.to_vec();
        let fields =
            spoilings.iter().fold(fields, |fields, one| spoil(fields, one, &parts_of_protobuf));
        [number, &fields].concat()
    }
}

/// Cuts a body into its fields.
type Parts = dyn Fn(&[u8]) -> Vec<Vec<u8>>;

fn parts_of_text(body: &[u8]) -> Vec<Vec<u8>> {
    body.split_inclusive(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// The fields of a message, key and value; what can't be read is the last of them.
fn parts_of_protobuf(mut body: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    while !body.is_empty() {
        let mut left = body;
        let read = prost::encoding::decode_key(&mut left).and_then(|(tag, wire)| {
            prost::encoding::skip_field(wire, tag, &mut left, Default::default())
        });
        let length = if read.is_ok() { body.len() - left.len() } else { body.len() };
        let (part, rest) = body.split_at(length);
        parts.push(part.to_vec());
        body = rest;
    }
    parts
}

fn spoil(mut body: Vec<u8>, spoiling: &Spoiling, parts: &Parts) -> Vec<u8> {
    if body.is_empty() {
        return body;
    }
    let mut fields = parts(&body);
    let count = fields.len();
    let at = |place: &u8| usize::from(*place) % count;
    match spoiling {
        Spoiling::FlipBit(place) => {
            let bit = usize::from(*place) % (body.len() * 8);
            body[bit / 8] ^= 1 << (bit % 8);
            return body;
        }
        Spoiling::Truncate(length) => {
            body.truncate(usize::from(*length) % body.len());
            return body;
        }
        Spoiling::Insert(place, bytes) => {
            let place = usize::from(*place) % body.len();
            body.splice(place..place, bytes.iter().copied());
            return body;
        }
        Spoiling::DuplicateField(place) => fields.insert(at(place), fields[at(place)].clone()),
        Spoiling::RemoveField(place) => drop(fields.remove(at(place))),
        Spoiling::SwapFields(one, other) => fields.swap(at(one), at(other)),
        Spoiling::ReplaceField(place, word) => replace(&mut fields[at(place)], word),
        Spoiling::Inside(place, inner) => {
            let field = &mut fields[at(place)];
            match message_of(field) {
                Some((key, message)) => {
                    let message = spoil(message, inner, parts);
                    *field = with_length(key, &message);
                }
                None => return spoil(body, inner, parts),
            }
        }
    }
    fields.concat()
}

/// The key and the value of a protobuf field that is a message or a text.
fn message_of(field: &[u8]) -> Option<(u64, Vec<u8>)> {
    let mut left = field;
    let key = prost::encoding::decode_varint(&mut left).ok().filter(|key| key & 7 == 2)?;
    let length = usize::try_from(prost::encoding::decode_varint(&mut left).ok()?).ok()?;
    (left.len() == length).then(|| (key, left.to_vec()))
}

fn with_length(key: u64, value: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::encode_varint(key, &mut field);
    prost::encoding::encode_varint(value.len() as u64, &mut field);
    field.extend_from_slice(value);
    field
}

/// Puts another value in a field, of the same kind where that is known.
fn replace(field: &mut Vec<u8>, word: &str) {
    if field.last() == Some(&0) && message_of(field).is_none() {
        *field = format!("{word}\0").into_bytes();
        return;
    }
    let mut left = field.as_slice();
    let Ok(key) = prost::encoding::decode_varint(&mut left) else { return };
    let number: f64 = word.parse().unwrap_or(f64::NAN);
    *field = match key & 7 {
        2 => with_length(key, word.as_bytes()),
        wire => {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(key, &mut bytes);
            match wire {
                0 => prost::encoding::encode_varint(number as i64 as u64, &mut bytes),
                _ => bytes.extend(number.to_le_bytes()),
            }
            bytes
        }
    };
}

#[test]
fn every_request_that_is_served_has_a_valid_frame_in_both_dialects() {
    let ids = |template: usize| {
        let valid = Valid { template, request: 1, order: 1 };
        let body = valid.body(false, 1, [ConId(1), ConId(2)], &[]);
        wire::read_request(&body, 226).expect("it is valid").id()
    };
    let covered: Vec<i32> = (0..TEMPLATES.len() + WITHOUT_TEXT.len()).map(ids).collect();
    for id in 1..120 {
        // An empty message is a message: only a number can be unknown.
        assert_eq!(Request::decode(id, &[]).is_ok(), covered.contains(&id), "request {id}");
    }
    let line = Valid { template: 0, request: 9, order: 1 };
    let read = wire::read_request(&line.body(true, 1, [ConId(1), ConId(2)], &[]), 178).unwrap();
    let Request::MarketData(line) = read else { panic!("{read:?}") };
    let MarketDataRequest { req_id, contract, generic_ticks, .. } = *line;
    assert_eq!((req_id, contract.con_id, generic_ticks.as_str()), (9, 1001, "233"));
}
