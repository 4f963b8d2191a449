//! How a call's arguments become a method's parameters.

use std::fmt;

use everwire_proto::signalr::{
    Protocol,
    payload::{Arguments, Payload},
};
use serde::de::DeserializeOwned;

use crate::{
    dispatch::Signature,
    error::{ErrorDetail, HubError},
    upload::{self, Feeder, Opened, Upload},
};

/// What a method may have for a parameter: any type that can be deserialised, for an argument;
/// [`Upload`], for a stream; [`Opaque`], for an argument that is not looked at; [`Untouched`], for all of
/// them at once.
pub trait Parameter: Sized {
    /// What the parameter takes of a call.
    const SOURCE: Source;

    /// Takes it.
    ///
    /// # Errors
    /// If it is not there or of another type.
    fn bind(binding: &mut Binding) -> Result<Self, HubError>;
}

/// Where a parameter comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The next argument.
    Argument,
    /// The next upload stream.
    Upload,
    /// All arguments, however many.
    Everything,
}

/// An argument or a result that nobody here needs to understand: it stays in the encoding that it
/// came in, and whoever receives it gets the very same bytes, or a translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opaque(pub Payload);

/// All arguments of a call in the encoding that they came in, however many: for methods that pass
/// them on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untouched(pub Arguments);

/// What a call brings, on its way into the parameters of its method.
pub struct Binding {
    everything: Arguments,
    arguments: std::vec::IntoIter<Payload>,
    uploads: std::vec::IntoIter<Opened>,
    protocol: Protocol,
    detail: ErrorDetail,
}

impl Binding {
    /// A call with these arguments and as many uploads as the method takes. The connection's ends
    /// of those are given beside it.
    pub(super) fn new(
        arguments: &Arguments,
        signature: Signature,
        protocol: Protocol,
        detail: ErrorDetail,
    ) -> Result<(Self, Vec<Feeder>), HubError> {
        let everything = arguments.clone();
        let arguments = arguments.iter().collect::<Vec<_>>();
        let count = arguments.len();
        if let Some(wanted) = signature.arguments
            && count != wanted
        {
            return Err(HubError::binding(format!(
                "Invocation provides {count} argument(s) but target expects {wanted}."
            )));
        }
        let uploads = (0..signature.uploads).map(|_| upload::open());
        let (feeders, opened): (Vec<_>, Vec<_>) = uploads.unzip();
        let (arguments, uploads) = (arguments.into_iter(), opened.into_iter());
        Ok((Self { everything, arguments, uploads, protocol, detail }, feeders))
    }

    /// What the client reads.
    pub(super) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn argument(&mut self) -> Result<Payload, HubError> {
        self.arguments.next().ok_or_else(|| HubError::binding("An argument is missing."))
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding").finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Parameter for T {
    const SOURCE: Source = Source::Argument;

    fn bind(binding: &mut Binding) -> Result<Self, HubError> {
        binding.argument()?.decode().map_err(|error| HubError::decoding(&error))
    }
}

impl Parameter for Opaque {
    const SOURCE: Source = Source::Argument;

    fn bind(binding: &mut Binding) -> Result<Self, HubError> {
        binding.argument().map(Self)
    }
}

impl Parameter for Untouched {
    const SOURCE: Source = Source::Everything;

    fn bind(binding: &mut Binding) -> Result<Self, HubError> {
        Ok(Self(binding.everything.clone()))
    }
}

impl<T> Parameter for Upload<T> {
    const SOURCE: Source = Source::Upload;

    fn bind(binding: &mut Binding) -> Result<Self, HubError> {
        let upload = binding.uploads.next();
        let upload = upload.ok_or_else(|| HubError::binding("An upload stream is missing."))?;
        Ok(upload.typed(binding.detail))
    }
}
