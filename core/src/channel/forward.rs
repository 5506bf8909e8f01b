//! The traits, implemented for mutable references and boxes.

use alloc::boxed::Box;
use core::task::{Context, Poll};

use super::{Channel, ErrorType, RecvMessage, SendMessage};
use crate::close::{CloseCode, CloseInfo};
use crate::error::SendError;
use crate::message::{Message, Payload};

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: ErrorType + ?Sized> ErrorType for $pointer {
            type Error = T::Error;
        }

        impl<T: Channel + ?Sized> Channel for $pointer {
            fn subprotocol(&self) -> Option<&str> {
                (**self).subprotocol()
            }

            fn poll_close(
                &mut self,
                cx: &mut Context<'_>,
                code: CloseCode,
                reason: &str,
            ) -> Poll<Result<CloseInfo, Self::Error>> {
                (**self).poll_close(cx, code, reason)
            }
        }

        impl<T: RecvMessage + ?Sized> RecvMessage for $pointer {
            fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Self::Error>> {
                (**self).poll_recv(cx)
            }

            fn close_info(&self) -> Option<CloseInfo> {
                (**self).close_info()
            }
        }

        impl<T: SendMessage + ?Sized> SendMessage for $pointer {
            fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
                (**self).poll_ready(cx)
            }

            fn start_send(&mut self, payload: Payload<'_>) -> Result<(), SendError> {
                (**self).start_send(payload)
            }

            fn start_close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
                (**self).start_close(code, reason)
            }

            fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
                (**self).poll_flush(cx)
            }

            fn poll_feed(
                &mut self,
                cx: &mut Context<'_>,
                payload: &mut Option<Payload<'_>>,
            ) -> Poll<Result<(), Self::Error>> {
                (**self).poll_feed(cx, payload)
            }
        }
    )*};
}

forward!(&mut T, Box<T>);
