//! Any error, for those who only tell it: the command line, and the agent as it starts.
//!
//! The standard library's box does what is needed. `anyhow` would bring along what walks the stack and names its functions, for
//! backtraces that the static programs cannot make (docs/decisions/0021).

use std::error::Error;
use std::fmt;

/// Any error.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// What may end with any error.
pub type Outcome<T> = Result<T, AnyError>;

/// Says what was tried when an error came.
pub trait Context<T> {
    /// The same with these words before it.
    ///
    /// # Errors
    /// Where it is one.
    fn context(self, words: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: Into<AnyError>> Context<T> for Result<T, E> {
    fn context(self, words: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| {
            let (words, source) = (words(), error.into());
            let error: AnyError = Box::new(InContext { words, source });
            error
        })
    }
}

#[derive(Debug)]
struct InContext {
    words: String,
    source: AnyError,
}

impl fmt::Display for InContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Error for InContext {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// The error and its causes, one after the other.
fn chain(error: &AnyError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = &**error;
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// The error of this type behind the words that were put before it; not a cause that it names itself.
pub fn find<E: Error + 'static>(error: &AnyError) -> Option<&E> {
    let mut error = error;
    loop {
        match error.downcast_ref::<InContext>() {
            Some(context) => error = &context.source,
            None => return error.downcast_ref(),
        }
    }
}

/// An error and its causes in words, apart from those that it quotes itself.
pub fn told(error: &AnyError) -> String {
    chain(error).skip(1).fold(error.to_string(), |told, cause| {
        let cause = cause.to_string();
        match told.contains(&cause) {
            true => told,
            false => format!("{told}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_error_keeps_its_causes_and_is_told_with_them() {
        let denied = || io::Error::new(io::ErrorKind::PermissionDenied, "denied");
        let error = Err::<(), _>(denied())
            .context(|| "cannot read a".to_owned())
            .context(|| "cannot begin".to_owned())
            .unwrap_err();
        assert_eq!(told(&error), "cannot begin: cannot read a: denied");
        let cause = find::<io::Error>(&error).unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::PermissionDenied);
        assert!(find::<fmt::Error>(&error).is_none());

        let quoting = Err::<(), _>(denied()).context(|| "denied, it says".to_owned());
        assert_eq!(told(&quoting.unwrap_err()), "denied, it says");
        assert_eq!(told(&"plain".into()), "plain");
    }
}
