//! Rust as a tree of tokens: strings and comments can't be mistaken for code.
//!
//! Left to others: which tokens are wrong.

use crate::tree::File;
use proc_macro2::{TokenStream, TokenTree};

/// The tokens of a file.
#[track_caller]
pub fn lex(file: &File) -> TokenStream {
    match file.text.parse() {
        Ok(tokens) => tokens,
        Err(error) => panic!("{} is no Rust: {error}; run cargo check", file.path),
    }
}

/// Shows every run of sibling tokens, the outermost first.
pub fn each_sequence(tokens: TokenStream, show: &mut dyn FnMut(&[TokenTree])) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    show(&trees);
    for tree in trees {
        if let TokenTree::Group(group) = tree {
            each_sequence(group.stream(), show);
        }
    }
}

/// The word at a position.
pub fn word(trees: &[TokenTree], at: usize) -> Option<String> {
    match trees.get(at) {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

/// There is this sign at a position.
pub fn is_sign(trees: &[TokenTree], at: usize, sign: char) -> bool {
    matches!(trees.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// The tokens in the brackets at a position.
pub fn group(trees: &[TokenTree], at: usize) -> Option<TokenStream> {
    match trees.get(at) {
        Some(TokenTree::Group(group)) => Some(group.stream()),
        _ => None,
    }
}

/// The text of the string literal at a position, without its quotes.
pub fn string(trees: &[TokenTree], at: usize) -> Option<String> {
    match trees.get(at) {
        Some(TokenTree::Literal(literal)) => {
            let text = literal.to_string();
            text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map(str::to_owned)
        }
        _ => None,
    }
}

/// The line on which a token stands.
pub fn line(tree: &TokenTree) -> usize {
    tree.span().start().line
}

/// The body of the one call of this macro in a file.
#[track_caller]
pub fn macro_body(file: &File, name: &str) -> Vec<TokenTree> {
    let mut bodies = Vec::new();
    each_sequence(lex(file), &mut |trees| {
        for at in 0..trees.len() {
            if word(trees, at).as_deref() == Some(name)
                && is_sign(trees, at + 1, '!')
                && let Some(body) = group(trees, at + 2)
            {
                bodies.push(body.into_iter().collect());
            }
        }
    });
    assert_eq!(bodies.len(), 1, "{} should call {name}! once", file.path);
    bodies.remove(0)
}
