//! `optionsib price` and `optionsib iv`: tables in, the same tables with answers out.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a command on a table given by standard input.
fn on_stdin(command: &str, table: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_optionsib"))
        .args([command, "--csv", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built for this test");
    let mut stdin = child.stdin.take().expect("it is piped");
    let table = table.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&table));
    let output = child.wait_with_output().expect("it ends");
    let _ = writer.join().expect("the writer does not panic");
    output
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn fields(line: &str) -> Vec<&str> {
    line.split(',').collect()
}

/// Haug's textbook examples, with the values of QuantLib's analytic engine.
const HAUG: &str = "style,type,S,K,q,r,T,vol\n\
                    european,call,60.0,65.0,0.0,0.08,0.25,0.3\n\
                    european,put,100.0,95.0,0.05,0.1,0.5,0.2\n";

#[test]
fn prices_come_back_in_order_with_their_class() {
    let lines = lines(&on_stdin("price", HAUG.as_bytes()));
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], "style,type,S,K,q,r,T,vol,price,delta,gamma,vega,theta,rho,error_class");
    for (line, exact) in [(1, 2.133368444916199), (2, 2.464787646755826)] {
        let row = fields(&lines[line]);
        let price: f64 = row[8].parse().unwrap();
        assert!((price / exact - 1.0f64).abs() < 1e-13, "{price}");
        assert_eq!(row[14], "exact");
    }
    assert!(lines[1].starts_with("european,call,60.0,65.0,0.0,0.08,0.25,0.3,"));
}

#[test]
fn a_price_goes_to_its_vol_and_back_without_loss() {
    let priced = lines(&on_stdin("price", HAUG.as_bytes()));
    let mut table = "style,type,S,K,q,r,T,price\n".to_owned();
    for line in &priced[1..] {
        let row = fields(line);
        table += &format!("{},{}\n", row[..7].join(","), row[8]);
    }
    let solved = lines(&on_stdin("iv", table.as_bytes()));
    assert_eq!(solved[0], "style,type,S,K,q,r,T,price,vol,reason");
    for (line, vol) in [(1, 0.3), (2, 0.2)] {
        let row = fields(&solved[line]);
        let solved: f64 = row[8].parse().unwrap();
        assert!((solved / vol - 1.0f64).abs() < 1e-14, "{solved}");
        assert_eq!(row[9], "");
    }
}

/// A put of Longstaff and Schwartz (2001, table 1) and a call whose share pays half way. They print
/// 4.478, the price with 50 exercise dates a year; QuantLib 1.44 QdFp highPrecision says 4.4866744.
#[test]
fn american_rows_and_cash_dividends_have_their_price_and_their_class() {
    let table = b"style,type,S,K,r,q,T,vol,dividends\n\
        american,put,36,40,0.06,0,1,0.2,\n\
        european,put,36,40,0.06,0,1,0.2,\n\
        american,call,100,90,0.05,0,1,0.3,0.5:4\n\
        european,call,100,90,0.05,0,1,0.3,0.5:4\n";
    let priced = lines(&on_stdin("price", table));
    let price = |line: usize| fields(&priced[line])[9].parse::<f64>().unwrap();
    assert!((price(1) - 4.486_674_419_027_127).abs() < 1e-6, "{}", price(1));
    assert!(price(1) > price(2) && price(3) > price(4));
    let class = |line: usize| fields(&priced[line])[15].to_owned();
    assert_eq!([class(1), class(2)], ["tight", "exact"]);
    assert_eq!([class(3), class(4)], ["tight", "tight"]);
    // And back: the price names the vol.
    let mut asked = "style,type,S,K,r,q,T,price,dividends\n".to_owned();
    for line in &priced[1..] {
        let row = fields(line);
        let terms = row[..7].join(",");
        asked.push_str(&format!("{terms},{},{}\n", row[9], row[8]));
    }
    let solved = lines(&on_stdin("iv", asked.as_bytes()));
    for (line, vol) in [(1, 0.2), (2, 0.2), (3, 0.3), (4, 0.3)] {
        let row = fields(&solved[line]);
        let found: f64 = row[9].parse().unwrap_or_else(|_| panic!("{}", solved[line]));
        assert!((found - vol).abs() < 1e-6, "{}", solved[line]);
    }
}

#[test]
fn a_bad_row_is_answered_in_its_row_and_disturbs_no_other() {
    let table = b"style,type,S,K,r,q,T,vol,dividends\n\
        european,call,100,100,0,0,1,0.2,\n\
        european,call,100,abc,0,0,1,0.2,\n\
        european,call,100,100,0,0,-1,0.2,\n\
        european,call,100,100,0,0,0,0.2,\n\
        european,call,100,90,0,0,0,0.2,\n\
        european,call,NaN,100,0,0,1,0.2,\n\
        european,call,100\n\
        european,put,1\xff0,100,0,0,1,0.2,\n\
        european,call,100,100,0,0,1,0.2,,,\n\
        european,call,100,100,0,0,1,0.2,\n";
    let lines = lines(&on_stdin("price", table));
    assert_eq!(lines.len(), 11);
    let of = |line: usize| {
        let row = fields(&lines[line]);
        assert_eq!(row.len(), 16, "{}", lines[line]);
        (row[9].to_owned(), row[15].to_owned())
    };
    for (line, reason) in [
        (2, "K: `abc` is not a number"),
        (3, "time to expiry is negative"),
        (6, "spot is not a finite number"),
        (7, "the row has 3 fields where the table has 9"),
        (9, "the row has 11 fields where the table has 9"),
    ] {
        let (price, class) = of(line);
        assert_eq!(price, "", "{line}");
        assert!(class.contains(reason), "{class}");
    }
    assert!(String::from_utf8_lossy(lines[8].as_bytes()).contains("S: the field is not UTF-8"));
    // An expired option is worth what is left of it.
    assert_eq!(of(4).0, "0.0");
    assert_eq!(of(5).0, "10.0");
    assert!(of(5).1.starts_with("refused: option has expired"));
    assert_eq!(of(1), of(10));
    assert_eq!(of(1).1, "exact");
}

#[test]
fn prices_without_a_vol_have_their_reason() {
    let table = "style,type,S,K,r,q,T,price\n\
                 european,call,100,100,0,0,1,0\n\
                 european,call,120,100,0,0,1,20\n\
                 european,call,100,100,0,0,1,100\n\
                 european,call,100,100,0,0,1,inf\n\
                 european,call,100,0,0,0,1,5\n";
    let lines = lines(&on_stdin("iv", table.as_bytes()));
    for (line, reason) in [
        (1, "price is not positive"),
        (2, "price is at or below intrinsic value"),
        (3, "price is at or above what any vol can give"),
        (4, "an input is not a finite number"),
        (5, "forward or strike is not positive"),
    ] {
        let row = fields(&lines[line]);
        assert_eq!(row[8], "", "{}", lines[line]);
        assert!(row[9].starts_with(reason), "{}", lines[line]);
    }
}

#[test]
fn many_rows_keep_their_order_across_batches() {
    let mut table = "style,type,S,K,r,q,T,vol\n".to_owned();
    for row in 0..10_000 {
        table += &format!("european,call,100,{},0.01,0,1,0.2\n", 50 + row % 100);
    }
    let output = lines(&on_stdin("price", table.as_bytes()));
    assert_eq!(output.len(), 10_001);
    for (row, line) in output[1..].iter().enumerate() {
        assert_eq!(fields(line)[3], (50 + row % 100).to_string());
        let first = fields(&output[1 + row % 100]);
        assert_eq!(fields(line)[8..], first[8..]);
    }
}

#[test]
fn a_table_that_is_none_is_exit_2() {
    let wrong_header = on_stdin("price", b"a,b\n1,2\n");
    assert_eq!(wrong_header.status.code(), Some(2));
    let text = String::from_utf8_lossy(&wrong_header.stderr).into_owned();
    assert!(text.contains("no column `style`"), "{text}");
    assert!(wrong_header.stdout.is_empty());
    let missing = Path::new("/nowhere/at/all.csv");
    let output = Command::new(env!("CARGO_BIN_EXE_optionsib"))
        .args(["iv", "--csv"])
        .arg(missing)
        .output()
        .expect("the binary was built for this test");
    assert_eq!(output.status.code(), Some(2));
}
