//! `optionsib price` and `optionsib iv`: a table of options in, the same table with answers out.
//!
//! Exists so that anyone can hold our numbers against his own without a node, an account or a line
//! of code. Rows keep their order and their text; numbers are written so that reading them gives
//! the same f64. A row that can't be answered says why in its own row, and the others are not
//! disturbed. What a row means is in `row`; European rows go through the vectorised kernels in
//! batches, American ones and those with cash dividends through `american`.

mod american;
mod row;

use crate::failure::Failure;
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder, Writer};
use pricing::black::{EuropeanGreeks, OptionKind, SpotInputs};
use pricing::implied::{ImpliedInputs, NoVol, implied_vols};
use pricing::lanes::scalar::exp;
use row::{Header, Row, Style};
use std::fs::File;
use std::io::{self, BufWriter, Read, StdoutLock};
use std::path::Path;

/// Rows that are read, answered and written at a time.
const ROWS_PER_BATCH: usize = 4_096;
/// The error class of closed formulas: relative error up to 1e-13 of the exact value.
const EXACT: &str = "exact";

/// Price and Greeks of one row, in the conventions of `pricing::black::SpotGreeks`.
struct Priced {
    /// Price, delta, gamma, vega, theta, rho; NaN where there is none.
    numbers: [f64; 6],
    error_class: String,
}

/// Answers a table of options with prices and Greeks; `-` reads standard input.
pub fn price(file: &Path) -> Result<(), Failure> {
    let columns = ["price", "delta", "gamma", "vega", "theta", "rho", "error_class"];
    answer(file, "vol", &columns, |rows| {
        prices(rows)
            .into_iter()
            .map(|answer| match answer {
                Ok(priced) => {
                    let mut fields: Vec<String> = priced.numbers.iter().map(number).collect();
                    fields.push(priced.error_class);
                    fields
                }
                Err(reason) => {
                    let mut fields = vec![String::new(); 6];
                    fields.push(format!("refused: {reason}"));
                    fields
                }
            })
            .collect()
    })
}

/// Answers a table of option prices with implied vols; `-` reads standard input.
pub fn implied_vol(file: &Path) -> Result<(), Failure> {
    answer(file, "price", &["vol", "reason"], |rows| {
        vols(rows)
            .into_iter()
            .map(|answer| match answer {
                Ok(vol) => vec![number(&vol), String::new()],
                Err(reason) => vec![String::new(), reason],
            })
            .collect()
    })
}

/// The shortest text that reads back as the same f64; nothing for what is not a number.
fn number(value: &f64) -> String {
    if value.is_nan() { String::new() } else { format!("{value:?}") }
}

type Answers = Vec<Vec<String>>;

fn answer(
    file: &Path,
    last_column: &'static str,
    added: &[&str],
    batch: impl Fn(&[Result<Row, String>]) -> Answers,
) -> Result<(), Failure> {
    let input: Box<dyn Read> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(file).map_err(|error| {
            Failure::usage(format!("can't read {}", file.display()))
                .because(error)
                .next("give the path of a CSV file, or - for standard input")
        })?)
    };
    let reader = ReaderBuilder::new().flexible(true).from_reader(input);
    let writer = Writer::from_writer(BufWriter::new(io::stdout().lock()));
    match convert(reader, writer, last_column, added, batch) {
        Err(Stop::Csv(error)) if is_reader_gone(&error) => Ok(()),
        Err(Stop::Csv(error)) => {
            Err(Failure::internal(format!("{} is not finished", file.display())).because(error))
        }
        Err(Stop::Header(failure)) => Err(failure),
        Ok(()) => Ok(()),
    }
}

/// Why a table ends early.
enum Stop {
    Header(Failure),
    Csv(csv::Error),
}

impl From<csv::Error> for Stop {
    fn from(error: csv::Error) -> Self {
        Self::Csv(error)
    }
}

/// Whoever reads our output has had enough; that is no failure of ours.
fn is_reader_gone(error: &csv::Error) -> bool {
    matches!(error.kind(), ErrorKind::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
}

fn convert(
    mut reader: Reader<Box<dyn Read>>,
    mut writer: Writer<BufWriter<StdoutLock<'_>>>,
    last_column: &'static str,
    added: &[&str],
    batch: impl Fn(&[Result<Row, String>]) -> Answers,
) -> Result<(), Stop> {
    let names = reader.byte_headers()?.clone();
    let header = Header::new(&names, last_column).map_err(Stop::Header)?;
    let mut first = names;
    added.iter().for_each(|name| first.push_field(name.as_bytes()));
    writer.write_byte_record(&first)?;

    let mut records = reader.byte_records();
    loop {
        let texts: Vec<ByteRecord> =
            records.by_ref().take(ROWS_PER_BATCH).collect::<Result<_, _>>()?;
        if texts.is_empty() {
            break;
        }
        let rows: Vec<Result<Row, String>> = texts.iter().map(|text| header.row(text)).collect();
        for (text, fields) in texts.iter().zip(batch(&rows)) {
            // A short row is filled up and a long one cut, so that answers stand in their columns.
            let own = text.iter().chain(std::iter::repeat(&b""[..])).take(header.columns());
            writer.write_record(own.chain(fields.iter().map(String::as_bytes)))?;
        }
    }
    writer.flush().map_err(csv::Error::from)?;
    Ok(())
}

/// Options for the kernels, with the number of the row that each came from.
#[derive(Default)]
struct European {
    row: Vec<usize>,
    spot: Vec<f64>,
    strike: Vec<f64>,
    years: Vec<f64>,
    rate: Vec<f64>,
    dividend_yield: Vec<f64>,
    is_call: Vec<bool>,
    vol_or_price: Vec<f64>,
}

impl European {
    fn push(&mut self, index: usize, row: &Row) {
        self.row.push(index);
        self.spot.push(row.spot);
        self.strike.push(row.strike);
        self.years.push(row.years);
        self.rate.push(row.rate);
        self.dividend_yield.push(row.dividend_yield);
        self.is_call.push(row.kind == OptionKind::Call);
        self.vol_or_price.push(row.vol_or_price);
    }
}

/// Answers what is neither European nor plain through `special`, and collects the rest.
fn sort_out<T>(
    rows: &[Result<Row, String>],
    special: impl Fn(&Row) -> Result<T, String>,
) -> (Vec<Result<T, String>>, European) {
    let mut european = European::default();
    let answers = rows
        .iter()
        .enumerate()
        .map(|(index, row)| match row {
            Err(reason) => Err(reason.clone()),
            Ok(row) if row.style == Style::European && row.dividends.is_empty() => {
                european.push(index, row);
                Err(String::new())
            }
            Ok(row) => special(row),
        })
        .collect();
    (answers, european)
}

fn prices(rows: &[Result<Row, String>]) -> Vec<Result<Priced, String>> {
    let (mut answers, european) = sort_out(rows, american::price);
    let mut greeks = EuropeanGreeks::default();
    greeks
        .fill_on_spot(&SpotInputs {
            spot: &european.spot,
            strike: &european.strike,
            years: &european.years,
            vol: &european.vol_or_price,
            rate: &european.rate,
            dividend_yield: &european.dividend_yield,
            is_call: &european.is_call,
        })
        .expect("columns are filled row by row");
    let columns =
        [&greeks.price, &greeks.delta, &greeks.gamma, &greeks.vega, &greeks.theta, &greeks.rho];
    for (lane, &row) in european.row.iter().enumerate() {
        answers[row] = match greeks.refusal[lane] {
            // What an expired option has left is a price, though it has no Greeks.
            Some(refusal) if !greeks.price[lane].is_nan() => Ok(Priced {
                numbers: columns.map(|column| column[lane]),
                error_class: format!("refused: {refusal}"),
            }),
            Some(refusal) => Err(refusal.to_string()),
            None => Ok(Priced {
                numbers: columns.map(|column| column[lane]),
                error_class: EXACT.to_owned(),
            }),
        };
    }
    answers
}

fn vols(rows: &[Result<Row, String>]) -> Vec<Result<f64, String>> {
    let (mut answers, european) = sort_out(rows, american::implied_vol);
    let lanes = 0..european.row.len();
    let forward: Vec<f64> = lanes
        .clone()
        .map(|lane| {
            let carry = european.rate[lane] - european.dividend_yield[lane];
            european.spot[lane] * exp(carry * european.years[lane])
        })
        .collect();
    let undiscounted_price: Vec<f64> = lanes
        .map(|lane| european.vol_or_price[lane] * exp(european.rate[lane] * european.years[lane]))
        .collect();
    let inputs = ImpliedInputs {
        undiscounted_price: &undiscounted_price,
        forward: &forward,
        strike: &european.strike,
        years: &european.years,
        is_call: &european.is_call,
    };
    let mut vols = vec![Err(NoVol::NoPrice); european.row.len()];
    implied_vols(&inputs, &mut vols).expect("columns are filled row by row");
    for (vol, &row) in vols.iter().zip(&european.row) {
        answers[row] = vol.map_err(|reason| reason.to_string());
    }
    answers
}
