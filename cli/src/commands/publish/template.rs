//! Lines become messages.

use anybroker::{ByteString, Bytes, Key, Message};
use serde::de::IgnoredAny;

use super::envelope;
use super::fields::Field;
use super::{Args, Input};
use crate::failure::Failure;

/// What the command line says of every message.
pub(super) struct Template {
    input: Input,
    key: Option<Key>,
    key_field: Option<Field>,
    id_field: Option<Field>,
    headers: Vec<(ByteString, Bytes)>,
    event_type: Option<ByteString>,
}

impl Template {
    /// Reads the arguments; refuses what no message could carry before anything is sent.
    pub(super) fn new(args: &Args) -> Result<Self, Failure> {
        let fields = args.key_field.is_some() || args.id_field.is_some();
        let input = args.input.unwrap_or(if fields { Input::Json } else { Input::Lines });
        if fields && input != Input::Json {
            let text = "--key-field and --id-field name fields of JSON lines; use them with --input json";
            return Err(Failure::new(text));
        }
        let headers = args.headers.iter().map(|(n, v)| (n.as_str().into(), v.clone().into())).collect();
        let template = Template {
            input,
            key: args.key.as_deref().map(Key::from),
            key_field: args.key_field.as_deref().map(Field::new),
            id_field: args.id_field.as_deref().map(Field::new),
            headers,
            event_type: args.event_type.as_deref().map(ByteString::from),
        };
        template.dress(Message::new(Bytes::new())).validate()?;
        Ok(template)
    }

    /// The message of a line; none if the line is blank where blank lines mean nothing.
    pub(super) fn message(&self, line: Vec<u8>) -> Result<Option<Message>, String> {
        if self.input != Input::Lines && line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let message = match self.input {
            Input::Lines => Message::new(line),
            Input::Json => self.json(line)?,
            Input::Envelope => envelope::message(&line)?,
        };
        Ok(Some(self.dress(message)))
    }

    fn json(&self, line: Vec<u8>) -> Result<Message, String> {
        let mut key = None;
        let mut id = None;
        if self.key_field.is_none() && self.id_field.is_none() {
            serde_json::from_slice::<IgnoredAny>(&line).map_err(|e| not_json(&e))?;
        } else {
            let value = serde_json::from_slice(&line).map_err(|e| not_json(&e))?;
            key = self.key_field.as_ref().map(|field| field.text(&value)).transpose()?;
            id = self.id_field.as_ref().map(|field| field.text(&value)).transpose()?;
        }
        let mut message = Message::new(line).with_content_type("application/json");
        message.key = key.map(Key::from);
        if let Some(id) = id {
            message.id = id.into();
        }
        Ok(message)
    }

    /// Adds what the command line says where the line itself says nothing.
    fn dress(&self, mut message: Message) -> Message {
        message.key = message.key.or_else(|| self.key.clone());
        message.event_type = message.event_type.or_else(|| self.event_type.clone());
        for (name, value) in &self.headers {
            message.headers.append(name.clone(), value.clone());
        }
        message
    }
}

fn not_json(error: &serde_json::Error) -> String {
    format!("it is not JSON: {}", without_line(error))
}

/// The parser's words with the column, without its idea of the line.
pub(super) fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.strip_suffix(&format!(" at line {} column {}", error.line(), error.column())) {
        Some(reason) => format!("{reason} (column {})", error.column()),
        None => text,
    }
}

/// Reads `NAME=VALUE`.
pub(super) fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is not of the form NAME=VALUE")?;
    if name.is_empty() {
        return Err("the name before `=` is empty".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(input: Input) -> Template {
        Template { input, key: None, key_field: None, id_field: None, headers: vec![], event_type: None }
    }

    #[test]
    fn headers_split_at_the_first_equals_sign() {
        assert_eq!(parse_header("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert_eq!(parse_header("a=").unwrap(), ("a".to_owned(), String::new()));
        assert!(parse_header("a").is_err() && parse_header("=b").is_err());
    }

    #[test]
    fn a_line_is_taken_byte_for_byte() {
        let message = template(Input::Lines).message(b"\xff \x00".to_vec()).unwrap().unwrap();
        assert_eq!(message.payload, &b"\xff \x00"[..]);
        assert!(template(Input::Lines).message(vec![]).unwrap().is_some());
    }

    #[test]
    fn json_lines_are_kept_as_they_are_and_checked() {
        let mut template = template(Input::Json);
        let message = template.message(br#"{"b": 1.0, "a":2}"#.to_vec()).unwrap().unwrap();
        assert_eq!(message.payload, r#"{"b": 1.0, "a":2}"#);
        assert!(template.message(b"{\"a\":".to_vec()).unwrap_err().contains("not JSON"));
        assert!(template.message(b"  ".to_vec()).unwrap().is_none());

        template.key_field = Some(Field::new("customer.id"));
        template.id_field = Some(Field::new("id"));
        let line = br#"{"id":"o-1","customer":{"id":7}}"#;
        let message = template.message(line.to_vec()).unwrap().unwrap();
        assert_eq!(message.key, Some("7".into()));
        assert_eq!(message.id.to_string(), "o-1");
        assert!(template.message(br#"{"id":"o-1"}"#.to_vec()).unwrap_err().contains("customer.id"));
    }

    #[test]
    fn the_command_line_fills_what_the_line_leaves_out() {
        let mut template = template(Input::Envelope);
        template.key = Some("k".into());
        template.event_type = Some("t".into());
        template.headers = vec![("h".into(), Bytes::from_static(b"v"))];
        let plain = template.message(br#"{"payload":"x"}"#.to_vec()).unwrap().unwrap();
        assert_eq!((plain.key, plain.event_type.as_deref()), (Some("k".into()), Some("t")));
        assert_eq!(plain.headers.get("h").unwrap(), &"v");
        let own = template.message(br#"{"key":"own","type":"o","payload":"x"}"#.to_vec()).unwrap().unwrap();
        assert_eq!((own.key, own.event_type.as_deref()), (Some("own".into()), Some("o")));
    }
}
