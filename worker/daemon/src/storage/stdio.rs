//! Standard input and output as one stream that does not block: sshd gives a command two pipes.

use std::io;
use std::os::fd::AsFd;

use tokio::io::{AsyncRead, AsyncWrite, Join, join};
use tokio::net::unix::pipe::{Receiver, Sender};

pub(super) fn open() -> io::Result<Join<impl AsyncRead, impl AsyncWrite>> {
    let (input, output) = (io::stdin().as_fd().try_clone_to_owned()?, io::stdout().as_fd().try_clone_to_owned()?);
    Ok(join(Receiver::from_owned_fd(input)?, Sender::from_owned_fd(output)?))
}
