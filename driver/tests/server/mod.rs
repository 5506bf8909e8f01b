//! What a server does, row by row of its specification, over real sockets: written once, and run by each runtime's crate, which
//! includes this with `#[path]` and says with [`Harness`] how its servers run.
//!
//! The clients here are plain blocking sockets that write and read bytes: whatever the runtime, they see the same.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sockeye_core::http::Request;
use sockeye_driver::server::{
    Client, Handler, HandlerResult, Inbound, Port, Runtime, Server, ServerBuilder, ServerHandle,
};

pub(crate) mod backpressure;
mod client;
pub(crate) mod ending;
pub(crate) mod events;
pub(crate) mod frames;
pub(crate) mod handshake;
pub(crate) mod heartbeat;
pub(crate) mod http;
pub(crate) mod limits;
pub(crate) mod methods;
pub(crate) mod pushing;
pub(crate) mod sending;

use client::Raw;

/// How servers run on one runtime.
pub(crate) trait Harness {
    type Runtime: Runtime;

    /// Builds a server where the runtime runs, gives it to `built`, and runs it to its end. Blocks.
    fn serve(
        build: impl FnOnce(ServerBuilder<Self::Runtime>) -> Server<Self::Runtime> + Send + 'static,
        built: impl FnOnce(&Server<Self::Runtime>) + Send + 'static,
    );
}

/// Sends back what it gets, and gives every client away that opens.
pub(crate) struct Giver(pub(crate) mpsc::Sender<Client>);

impl Handler for Giver {
    async fn open(&self, client: &Client, _: &Request) -> HandlerResult {
        self.0.send(client.clone())?;
        Ok(())
    }

    async fn message(&self, client: &Client, message: Inbound<'_>) -> HandlerResult {
        client.push(message)?;
        Ok(())
    }
}

/// A server that runs beside the test, and ends with it.
pub(crate) struct Running {
    pub(crate) handle: ServerHandle,
    pub(crate) addresses: Vec<sockeye_driver::server::Address>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start<T: Harness>(
        build: impl FnOnce(ServerBuilder<T::Runtime>) -> ServerBuilder<T::Runtime> + Send + 'static,
    ) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            T::serve(
                |builder| build(builder).build(),
                move |server| tell.send((server.handle(), server.addresses().to_vec())).unwrap(),
            );
        });
        let (handle, addresses) = told.recv_timeout(PATIENCE).expect("a server that starts");
        Running { handle, addresses, thread: Some(thread) }
    }

    /// One port.
    pub(crate) fn port<T: Harness, H: Handler>(port: Port<H>) -> Self {
        Self::start::<T>(move |builder| builder.listen("127.0.0.1:0", port).unwrap())
    }

    /// One port with nothing set.
    pub(crate) fn handler<T: Harness>(handler: impl Handler) -> Self {
        Self::port::<T, _>(Port::new(handler))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0].as_inet().unwrap()
    }

    /// A client that is connected and has said nothing.
    pub(crate) fn connect(&self) -> Raw {
        Raw::connect(self.address())
    }

    /// A client with an open WebSocket.
    pub(crate) fn open(&self) -> Raw {
        let mut raw = self.connect();
        raw.upgrade("/");
        raw
    }

    /// Waits until the server has ended, which somebody has asked for.
    pub(crate) fn join(mut self) {
        let thread = self.thread.take().unwrap();
        eventually("the end of the server", || thread.is_finished());
        thread.join().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown(Duration::ZERO);
        if let Some(thread) = self.thread.take().filter(|_| !std::thread::panicking()) {
            eventually("the end of the server", || thread.is_finished());
            thread.join().unwrap();
        }
    }
}

/// Nothing here takes that long; who has to wait so long has found a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that nobody tells.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What the events have said, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until these are all.
    pub(crate) fn expect(&self, lines: &[&str]) {
        let begun = Instant::now();
        while self.lines() != lines {
            assert!(begun.elapsed() < PATIENCE, "{:?} and not {lines:?}", self.lines());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn wait_for(&self, line: &str) {
        eventually(line, || self.lines().iter().any(|known| known == line));
    }
}

/// Makes a test of each scenario, for a [`Harness`]. One that is missing here is dead code.
macro_rules! server_tests {
    ($harness:ty) => {
        server_tests! { @ $harness;
            backpressure:
                m4_e11_a_full_queue_refuses_loses_nothing_and_tells_when_it_has_drained,
                m4_a_slow_reader_may_miss_messages_if_so_set,
                m4_a_slow_reader_may_be_closed_if_so_set,
                m4_the_whole_server_has_a_budget_and_others_go_on_when_there_is_room,
                m4_a_peer_that_asks_and_does_not_read_is_not_listened_to_and_loses_nothing;
            ending:
                m12_all_are_told_1001_behind_what_was_accepted_and_nobody_else_comes_in,
                m12_who_does_not_take_part_is_aborted_when_the_grace_is_over,
                m12_a_request_in_progress_is_answered_and_is_the_last;
            events:
                e5_the_end_is_told_once_with_who_why_and_how,
                e6_what_never_became_a_websocket_disconnects,
                e8_who_connects_may_be_refused_with_a_response_or_without,
                e9_events_of_one_never_overlap_and_different_ones_run_at_once,
                e10_an_error_or_a_panic_costs_its_own_connection_only,
                e10_a_panic_outside_of_any_future_is_the_same,
                e10_closures_are_told_of_failures_too,
                e7_a_push_goes_out_while_its_connections_handler_waits;
            frames:
                e2_fragments_are_merged_and_the_kind_is_that_of_the_first,
                e3_pings_are_answered_and_pongs_dropped_unless_asked_for,
                e4_text_is_checked_while_it_arrives,
                o2_o3_o4_control_frames_are_told_and_pings_left_to_the_handler,
                o6_frames_and_messages_above_the_limits_are_refused_by_their_heads;
            handshake:
                h1_h2_a_valid_upgrade_and_what_is_wrong_with_others,
                h7_frames_right_behind_the_head_are_heard,
                h8_h13_the_policy_chooses_a_subprotocol_and_refuses_origins,
                h9_headers_cookies_and_a_subprotocol_are_added_or_all_is_refused,
                h10_a_custom_handshake_decides_and_what_is_pushed_before_the_101_follows_it,
                h11_open_sees_the_request_and_may_push_and_close,
                h12_the_whole_handshake_has_a_deadline_and_the_head_limits;
            heartbeat:
                o7_m11_who_is_silent_is_closed_and_who_is_protected_or_talks_is_not,
                o7_pings_are_sent_and_who_does_not_answer_is_cut;
            http:
                h4_without_a_request_handler_http_gets_a_400_page_and_the_end,
                h5_requests_have_query_cookies_and_bodies_and_the_connection_stays,
                h5_a_get_then_an_upgrade_on_the_same_connection,
                h5_an_interim_status_is_no_answer,
                h5_a_tunnel_is_refused,
                h5_who_waits_to_be_asked_for_the_body_is_asked,
                h5_the_answer_to_a_head_has_no_content_even_where_it_refuses,
                h5_a_request_pushes_to_all_websockets,
                h6_malformed_and_ambiguous_requests_are_refused_and_the_connection_closed,
                h5_a_body_and_the_next_request_have_their_time;
            limits:
                o8_above_the_limit_of_connections_there_is_503_until_one_leaves,
                o8_handshakes_at_a_time_are_limited_and_open_connections_do_not_count,
                o8_connections_from_one_address_are_limited,
                #[cfg(unix)]
                o8_out_of_descriptors_the_rest_goes_on_and_accepting_comes_back;
            methods:
                m5_disconnect_checks_its_code_and_reason_then_shakes_hands,
                m6_a_pushed_close_is_the_only_one_and_what_the_peer_still_says_is_heard,
                m7_m8_f3_what_is_known_of_a_connection_on_its_way,
                m11_abort_ends_it_at_once_wherever_it_is,
                m11_a_paused_connection_is_written_to_and_not_read_until_it_is_resumed,
                m13_each_port_has_its_own_handler_and_options_and_all_are_one_server,
                #[cfg(unix)]
                m13_a_port_may_be_a_unix_socket;
            pushing:
                m1_an_echo_and_a_push_from_another_thread_arrive_in_order,
                m1_each_error_says_what_is_wrong_and_nothing_is_sent,
                m2_a_fragmented_message_keeps_its_sequence,
                m3_a_push_above_the_limit_is_an_error_and_the_connection_stays,
                m9_a_broadcast_reaches_all_that_the_filter_lets_through,
                m9_o5_a_broadcast_is_compressed_once_for_all_that_agreed_on_it,
                e2_o5_a_message_says_whether_it_came_compressed;
            sending:
                m4_a_send_waits_for_room_inside_of_its_connections_handler,
                m4_a_send_waits_for_room_in_any_task_and_thread,
                m4_many_may_wait_to_send_and_all_get_their_turn,
                m4_a_send_ends_when_its_connection_does,
                m4_a_send_that_nobody_waits_for_any_more_has_sent_nothing;
        }
    };
    (@ $harness:ty; $($module:ident: $($(#[$only:meta])? $name:ident),*;)*) => {$(
        mod $module {
            $(
                $(#[$only])?
                #[test]
                fn $name() {
                    $crate::suite::$module::$name::<$harness>();
                }
            )*
        }
    )*};
}
