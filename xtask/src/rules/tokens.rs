//! Rust source as a flat list of tokens, in which comments and strings cannot be confused with code.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A token and its line.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// An identifier or literal as written, one punctuation character, or one bracket.
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) kind: Kind,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ident,
    Punct,
    Literal,
    Open,
    Close,
}

impl Token {
    /// Whether it is this identifier, punctuation character or bracket.
    pub(super) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }
}

/// Returns the tokens of a file. Fails with the parser's message if it is not Rust.
pub(super) fn read(text: &str) -> Result<Vec<Token>, String> {
    let stream: TokenStream = text.parse().map_err(|error| format!("cannot be read as Rust: {error}"))?;
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    Ok(tokens)
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |text: String, line, kind| tokens.push(Token { text, line, kind });
        match tree {
            TokenTree::Ident(ident) => push(ident.to_string(), line, Kind::Ident),
            TokenTree::Punct(punct) => push(punct.as_char().to_string(), line, Kind::Punct),
            TokenTree::Literal(literal) => push(literal.to_string(), line, Kind::Literal),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                let end = group.span_close().end().line;
                push(open.into(), line, Kind::Open);
                flatten(group.stream(), tokens);
                tokens.push(Token { text: close.into(), line: end, kind: Kind::Close });
            }
        }
    }
}

/// Returns the index of the bracket that closes the one at `open`.
pub(super) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len() - 1
}

/// Returns the attributes of a file: the index of each `[` that follows `#` or `#!`.
pub(super) fn attributes(tokens: &[Token]) -> impl Iterator<Item = usize> {
    (1..tokens.len()).filter(|&index| {
        let after_hash = tokens[index - 1].is("#");
        let after_bang = tokens[index - 1].is("!") && index > 1 && tokens[index - 2].is("#");
        tokens[index].is("[") && (after_hash || after_bang)
    })
}

/// Returns the tokens without the items that exist only in test builds.
pub(super) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut index = 0;
    while index < tokens.len() {
        let attribute = tokens[index].is("#") && tokens.get(index + 1).is_some_and(|next| next.is("["));
        if attribute {
            let end = closing(tokens, index + 1);
            if is_test_attribute(&tokens[index + 2..end]) {
                index = end_of_item(tokens, end + 1) + 1;
                continue;
            }
        }
        kept.push(tokens[index].clone());
        index += 1;
    }
    kept
}

/// Whether an attribute is `test`, `tokio::test`, `cfg(test)` or `cfg(any(test, …))`, but not `cfg(not(test))`.
fn is_test_attribute(inside: &[Token]) -> bool {
    let mentions = |word: &str| inside.iter().any(|token| token.kind == Kind::Ident && token.is(word));
    match inside.first() {
        Some(first) if first.is("cfg") => mentions("test") && !mentions("not"),
        Some(_) => {
            let path: Vec<&Token> = inside.iter().take_while(|token| token.kind != Kind::Open).collect();
            path.last().is_some_and(|last| last.is("test"))
        }
        None => false,
    }
}

/// Returns the index of the last token of the item that starts at `start`: a `;`, or the brace that closes its body.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut index = start;
    while index < tokens.len() {
        let token = &tokens[index];
        if token.is(";") {
            return index;
        }
        if token.kind == Kind::Open {
            let end = closing(tokens, index);
            if token.is("{") && !is_inside_use(&tokens[start..index]) {
                return end;
            }
            index = end;
        }
        index += 1;
    }
    tokens.len() - 1
}

fn is_inside_use(before: &[Token]) -> bool {
    before.iter().any(|token| token.is("use"))
}

#[cfg(test)]
mod tests {
    use super::{Kind, attributes, read, without_tests};

    fn words(text: &str) -> Vec<String> {
        let tokens = without_tests(&read(text).unwrap());
        tokens.into_iter().filter(|token| token.kind == Kind::Ident).map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        assert_eq!(words("// Comment\nfn a() { \"Text\"; r#\"raw!()\"#; } /* block!() */"), ["fn", "a"]);
    }

    #[test]
    fn only_items_of_test_builds_are_removed() {
        let text = "
            use a::b;
            #[cfg(test)] use c::{d, e};
            #[cfg(any(test, feature = \"testing\"))] pub mod f { fn g() {} }
            #[cfg(not(test))] fn h() {}
            #[cfg(test)] mod tests;
            #[tokio::test(flavor = \"x\")] async fn i() -> [u8; 2] { j() }
            fn k() {}
        ";
        assert_eq!(words(text), ["use", "a", "b", "cfg", "not", "test", "fn", "h", "fn", "k"]);
    }

    #[test]
    fn every_token_has_its_line() {
        let tokens = read("fn a() {\n\n    b();\n}").unwrap();
        let line = |text: &str| tokens.iter().find(|token| token.is(text)).unwrap().line;
        assert_eq!((line("a"), line("b"), line("}")), (1, 3, 4));
    }

    #[test]
    fn outer_and_inner_attributes_are_found() {
        let tokens = read("#![allow(x)]\n#[ignore]\nfn a() { b[0]; c![d] }").unwrap();
        let inside: Vec<&str> = attributes(&tokens).map(|open| tokens[open + 1].text.as_str()).collect();
        assert_eq!(inside, ["allow", "ignore"]);
    }

    #[test]
    fn the_error_for_text_that_is_not_rust_has_a_fixed_prefix() {
        assert!(read("fn a( {").unwrap_err().starts_with("cannot be read as Rust"));
    }
}
