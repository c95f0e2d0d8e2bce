//! The gateway on one connection.

use std::convert::Infallible;
use std::sync::Arc;

use futures::{StreamExt, stream};
use strongroom_proto::gateway::gateway_server::{Gateway as Service, GatewayServer};
use strongroom_proto::gateway::{
    GetPart, GetRequest, HeldReply, ListPart, ListRequest, PutHeader, PutPart, PutReply, RoomReply, RoomRequest,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::Gateway;
use super::answer::Parts;
use crate::link::OneStream;

/// Twice the parts of a put: enough that the link never waits for us, and little enough that a cut costs little.
const WINDOW_BYTES: u32 = 8 << 20;
/// Larger frames than HTTP/2's 16 KiB save a third of the sender's work (measured).
const FRAME_BYTES_MAX: u32 = 256 << 10;
/// A part has 1 MiB; the rest is its envelope.
const MESSAGE_BYTES_MAX: usize = 2 << 20;

/// The gateway as one host sees it.
struct ForHost {
    gateway: Arc<Gateway>,
    host: String,
}

/// Serves one host on one byte stream, until the stream ends.
pub async fn serve(
    gateway: Arc<Gateway>,
    host: String,
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<(), tonic::transport::Error> {
    let (io, closed) = OneStream::new(io);
    let service = GatewayServer::new(ForHost { gateway, host })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let one = stream::once(async { Ok::<_, Infallible>(io) }).chain(stream::pending());
    let mut server = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX);
    server.add_service(service).serve_with_incoming_shutdown(one, closed).await
}

#[tonic::async_trait]
impl Service for ForHost {
    type GetStream = Parts<GetPart>;
    type ListStream = Parts<ListPart>;

    async fn put(&self, request: Request<Streaming<PutPart>>) -> Result<Response<PutReply>, Status> {
        self.gateway.put(&self.host, request.into_inner()).await.map(Response::new)
    }

    async fn held(&self, request: Request<PutHeader>) -> Result<Response<HeldReply>, Status> {
        let length = self.gateway.held_of(&self.host, request.get_ref())?;
        Ok(Response::new(HeldReply { length }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Self::GetStream>, Status> {
        self.gateway.get(&self.host, request.into_inner()).await.map(Response::new)
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        self.gateway.list(request.get_ref()).map(Response::new)
    }

    async fn room(&self, request: Request<RoomRequest>) -> Result<Response<RoomReply>, Status> {
        self.gateway.room(request.get_ref()).await.map(Response::new)
    }
}
