//! JSON results, byte for byte as scripts of the established command expect them: keys in one order, none left out,
//! two spaces of indent, and the characters that HTML gives a meaning escaped.

mod chain;
mod config;
pub(crate) mod image;
mod image_cache;
mod kernel;
mod link;
mod map;
mod program;
mod status;

pub(crate) use chain::{Chain, DispatcherList, Hooks};
pub(crate) use config::Configuration;
pub(crate) use image_cache::{Image, ImageList};
pub(crate) use kernel::{is_restricted, tag};
pub(crate) use link::{Link, LinkList};
pub(crate) use map::MapList;
pub(crate) use program::{Program, ProgramList, Programs};
pub(crate) use status::{Doctor, Status};

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// A value as indented JSON with a line end.
pub(crate) fn render(value: &impl Serialize) -> io::Result<String> {
    let mut bytes = Vec::new();
    let formatter = HtmlSafe(PrettyFormatter::new());
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// The pretty formatter, with `<`, `>`, `&` and the line separators of JavaScript escaped as Go's encoder does.
struct HtmlSafe(PrettyFormatter<'static>);

impl Formatter for HtmlSafe {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(position) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(position);
            writer.write_all(plain.as_bytes())?;
            let mut characters = special.chars();
            if let Some(c) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_html_gives_a_meaning_is_escaped() {
        let value = BTreeMap::from([("b", "<a href=\"x\">&\u{2028}é\n"), ("a", "")]);
        assert_eq!(
            render(&value).unwrap(),
            "{\n  \"a\": \"\",\n  \"b\": \"\\u003ca href=\\\"x\\\"\\u003e\\u0026\\u2028é\\n\"\n}\n"
        );
    }

    #[test]
    fn nothing_is_short() {
        assert_eq!(render(&Vec::<u8>::new()).unwrap(), "[]\n");
        assert_eq!(render(&BTreeMap::<u8, u8>::new()).unwrap(), "{}\n");
    }
}
