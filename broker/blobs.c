/* blobs.c - see blobs.h: sockets, peers, and the table of messages. */
#include "broker/blobs_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE_MESSAGES 32 /* per peer and direction */
#define TURN_MESSAGES 64  /* taken from one socket before the others are looked at */
#define REFUSED_MAX 100	  /* bad messages of one peer */
#define TICK_NS NS_PER_S
#define STALL_MS 5

/* ---- peers ---- */

static struct list *bucket_of(struct blobs *b, unsigned endpoint, const uint8_t *route,
			      size_t size)
{
	uint32_t hash = 2166136261u ^ endpoint; /* FNV-1a */
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ route[i]) * 16777619u;
	return &b->peers[hash % PEER_BUCKETS];
}

static struct blob_peer *find_peer(struct blobs *b, unsigned endpoint,
				   const struct wire_frame *frame)
{
	struct list *bucket = bucket_of(b, endpoint, frame->route, frame->route_size),
		    *at;
	list_for_each (at, bucket) {
		struct blob_peer *peer = container_of(at, struct blob_peer, link);
		if (peer->endpoint == endpoint && peer->route_size == frame->route_size &&
		    memcmp(peer->route, frame->route, frame->route_size) == 0)
			return peer;
	}
	return NULL;
}

static struct blob_peer *add_peer(struct blobs *b, unsigned endpoint,
				  const struct wire_frame *frame)
{
	struct blob_peer *peer = mem_alloc(sizeof *peer);
	list_init(&peer->streams);
	peer->endpoint = endpoint;
	memcpy(peer->route, frame->route, frame->route_size);
	peer->route_size = frame->route_size;
	list_add_tail(bucket_of(b, endpoint, frame->route, frame->route_size),
		      &peer->link);
	b->peer_count++;
	b->peers_now++;
	return peer;
}

void blobs_forget_peer(struct blobs *b, struct blob_peer *peer)
{
	if (peer->is_gone)
		return;
	peer->is_gone = true;
	list_del(&peer->link);
	list_add_tail(&b->gone, &peer->link);
	b->peer_count--;
	b->peers_now--;
}

static void end_streams(struct blobs *b, struct blob_peer *peer)
{
	while (!list_empty(&peer->streams))
		stream_end(b, container_of(peer->streams.next, struct blob_stream, link));
}

static void free_gone(struct blobs *b)
{
	while (!list_empty(&b->gone)) {
		struct blob_peer *peer =
			container_of(b->gone.next, struct blob_peer, link);
		end_streams(b, peer);
		list_del(&peer->link);
		free(peer);
	}
}

/* ---- saying something ---- */

/* say() - Return: 0; 1 if the peer's queue is full; it is forgotten if it is gone. */
static int say(struct blobs *b, struct blob_stream *s, Cashet__BlobMessage *m)
{
	struct blob_peer *peer = s->peer;
	int error = 0;
	if (!peer || peer->is_gone)
		return 0;
	m->stream = s->id;
	if (wire_send_blob(b->sockets[peer->endpoint], peer->route, peer->route_size, m,
			   NULL, 0, &error) == 0)
		return 0;
	if (error == EAGAIN)
		return 1;
	blobs_forget_peer(b, peer);
	return 0;
}

void blobs_credit(struct blobs *b, struct blob_stream *s, uint64_t credit)
{
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	m.kind = CASHET__BLOB_MESSAGE__KIND__CREDIT;
	m.credit = s->unsaid_credit + credit;
	if (say(b, s, &m) == 0) {
		s->unsaid_credit = 0;
		return;
	}
	s->unsaid_credit = m.credit;
	stream_stall(b, s);
}

void blobs_finish(struct blobs *b, struct blob_stream *s, const Cashet__BlobMessage *m)
{
	list_del(&s->turn_link);
	s->last = *m;
	s->is_finished = true;
	blobs_retry(b, s);
}

void blobs_retry(struct blobs *b, struct blob_stream *s)
{
	if (!s->is_finished && s->unsaid_credit)
		blobs_credit(b, s, 0);
	if (!s->is_finished)
		return;
	if (say(b, s, &s->last))
		stream_stall(b, s);
	else
		stream_end(b, s);
}

static void say_error(struct blobs *b, unsigned endpoint, const struct wire_frame *frame,
		      uint64_t stream, enum err_code code, const char *what)
{
	Cashet__Error error = CASHET__ERROR__INIT;
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	error.code = code;
	error.what = (char *)what;
	m.kind = CASHET__BLOB_MESSAGE__KIND__ERROR;
	m.stream = stream;
	m.error = &error;
	wire_send_blob(b->sockets[endpoint], frame->route, frame->route_size, &m, NULL, 0,
		       NULL);
}

void blobs_fail(struct blobs *b, struct blob_stream *s, enum err_code code,
		const char *what)
{
	if (s->is_finished)
		return;
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	cashet__error__init(&s->error);
	s->error.code = code;
	s->error.what = (char *)what;
	m.kind = CASHET__BLOB_MESSAGE__KIND__ERROR;
	m.error = &s->error;
	blobs_finish(b, s, &m);
}

void blobs_refuse(struct blobs *b, struct blob_peer *peer, const char *why)
{
	b->refused++;
	log_warn("blob message refused", "why=%s", why);
	if (peer && ++peer->refused > REFUSED_MAX)
		blobs_forget_peer(b, peer);
}

/* ---- the table of messages ---- */

static enum key_role role_of(struct blobs *b, unsigned endpoint,
			     const struct wire_frame *frame)
{
	uint8_t key[KEY_SIZE];
	if (!b->endpoints[endpoint].curve)
		return ROLE_ADMIN;
	if (key_parse_z85(key, frame->user))
		return ROLE_NONE;
	return b->o.role ? b->o.role(b->o.arg, key) : ROLE_NONE;
}

static void on_hello(struct blobs *b, unsigned endpoint, const Cashet__BlobMessage *m,
		     const struct wire_frame *frame, enum key_role role)
{
	struct blob_peer *peer = find_peer(b, endpoint, frame);
	const char *wrong = !m->hello ? "a Hello without content"
			    : m->hello->protocol != WIRE_PROTOCOL
				    ? "this broker speaks protocol 1"
			    : !wire_is(&m->hello->instance, KEY_SIZE)
				    ? "an instance id of the wrong size"
			    : !peer && b->peer_count >= BLOBS_PEERS ? "too many peers"
								    : NULL;
	if (wrong) {
		blobs_refuse(b, peer, wrong);
		say_error(b, endpoint, frame, m->stream, ERR_USAGE, wrong);
		return;
	}
	if (!peer)
		peer = add_peer(b, endpoint, frame);
	end_streams(b, peer); /* a second Hello starts over */
	peer->heard_ns = b->now_ns;
	Cashet__Welcome welcome = b->o.welcome;
	welcome.role = (char *)key_role_name(role);
	welcome.message_max = WIRE_BLOB_MESSAGE_MAX;
	Cashet__BlobMessage reply = CASHET__BLOB_MESSAGE__INIT;
	reply.kind = CASHET__BLOB_MESSAGE__KIND__WELCOME;
	reply.stream = m->stream;
	reply.welcome = &welcome;
	if (wire_send_blob(b->sockets[endpoint], frame->route, frame->route_size, &reply,
			   NULL, 0, NULL))
		blobs_forget_peer(b, peer);
}

static void on_credit(struct blobs *b, struct blob_peer *peer,
		      const Cashet__BlobMessage *m, struct wire_frame *frame)
{
	struct blob_stream *s = stream_find(peer, m->stream);
	if (s && s->is_finished)
		return;
	if (!s) {
		/* Credit of 0 asks whether the stream is alive; more may just have crossed its end. */
		if (!m->credit)
			say_error(b, peer->endpoint, frame, m->stream, ERR_UNREACHABLE,
				  "no such transfer");
		return;
	}
	if (!m->credit) {
		blobs_credit(b, s, 0);
	} else if (s->kind == STREAM_GET) {
		blob_get_credit(b, s, m->credit);
	} else {
		blobs_refuse(b, peer, "credit for something that is no get");
		blobs_fail(b, s, ERR_USAGE, "credit for something that is no get");
	}
}

static void on_cancel(struct blobs *b, struct blob_peer *peer,
		      const Cashet__BlobMessage *m, struct wire_frame *frame)
{
	(void)frame;
	struct blob_stream *s = stream_find(peer, m->stream);
	if (s)
		stream_end(b, s);
}

/* What a peer may say after its Hello. To add a message: a kind in cashet.proto, a row here with a
 * function in the file of its subject, a paragraph in PROTOCOL.md, a case in tests/unit/broker/blobs.c. */
static const struct row {
	blob_on *on;
	bool opens;	  /* a stream, of an id that is not in use */
	bool writes;	  /* not for observers */
	bool has_payload; /* a second frame */
} rows[] = {
	[CASHET__BLOB_MESSAGE__KIND__HAVE] = {blob_on_have, .opens = true},
	[CASHET__BLOB_MESSAGE__KIND__PUT] = {blob_on_put, .opens = true, .writes = true},
	[CASHET__BLOB_MESSAGE__KIND__DATA] = {blob_on_data, .writes = true,
					      .has_payload = true},
	[CASHET__BLOB_MESSAGE__KIND__END] = {blob_on_end, .writes = true},
	[CASHET__BLOB_MESSAGE__KIND__GET] = {blob_on_get, .opens = true},
	[CASHET__BLOB_MESSAGE__KIND__CREDIT] = {on_credit},
	[CASHET__BLOB_MESSAGE__KIND__CANCEL] = {on_cancel},
};

static void dispatch(struct blobs *b, struct blob_peer *peer,
		     const Cashet__BlobMessage *m, struct wire_frame *frame,
		     enum key_role role)
{
	const struct row *row = (size_t)m->kind < ARRAY_LEN(rows) ? &rows[m->kind] : NULL;
	if (!row || !row->on || row->has_payload != (frame->payload != NULL)) {
		blobs_refuse(b, peer, "a message that a peer does not send");
		return;
	}
	peer->heard_ns = b->now_ns;
	if (row->writes && role == ROLE_OBSERVER) {
		b->refused++;
		if (row->opens)
			say_error(b, peer->endpoint, frame, m->stream, ERR_NOT_ALLOWED,
				  "an observer may not store anything");
		return;
	}
	struct blob_stream *same = row->opens ? stream_find(peer, m->stream) : NULL;
	if (same) { /* also one whose last word is not sent yet */
		blobs_refuse(b, peer, "a stream that is open already");
		blobs_fail(b, same, ERR_USAGE, "this stream was opened twice");
		return;
	}
	row->on(b, peer, m, frame);
}

static void handle(struct blobs *b, unsigned endpoint, struct wire_frame *frame)
{
	enum key_role role = role_of(b, endpoint, frame);
	struct blob_peer *peer = find_peer(b, endpoint, frame);
	wire_arena_reset(&b->arena);
	Cashet__BlobMessage *m = wire_unpack_blob(&b->arena, frame->data, frame->size);
	if (!m) {
		blobs_refuse(b, peer, "not a message");
		return;
	}
	if (role == ROLE_NONE || role == ROLE_BROKER) {
		/* Its key was revoked while it was connected. */
		b->refused++;
		say_error(b, endpoint, frame, m->stream, ERR_NOT_ALLOWED,
			  "this key is not trusted any more");
		if (peer)
			blobs_forget_peer(b, peer);
	} else if (m->kind == CASHET__BLOB_MESSAGE__KIND__HELLO) {
		on_hello(b, endpoint, m, frame, role);
	} else if (!peer) {
		b->refused++;
		say_error(b, endpoint, frame, 0, ERR_USAGE, "say Hello first");
	} else {
		dispatch(b, peer, m, frame, role);
	}
}

/* ---- the loop ---- */

static void read_socket(struct blobs *b, unsigned endpoint)
{
	for (int i = 0; i < TURN_MESSAGES; i++) {
		struct wire_frame frame;
		int rc = wire_recv(b->sockets[endpoint], true, &frame);
		if (rc == 1)
			return;
		if (rc == 2)
			blobs_refuse(b, find_peer(b, endpoint, &frame),
				     "malformed frames");
		else
			handle(b, endpoint, &frame);
		wire_frame_fini(&frame);
	}
}

static void take_back(struct blobs *b)
{
	uint64_t count;
	(void)!read(b->wake, &count, sizeof count);
	for (struct blob_stream *s; (s = jobs_take(b));) {
		s->is_busy = false;
		if (s->rc < 0 && b->o.broken && cas_broken(b->o.cas))
			b->o.broken(b->o.arg, cas_broken(b->o.cas));
		if (s->is_dying)
			stream_end(b, s);
		else if (!s->is_finished)
			stream_ops(s)->back(b, s);
	}
}

static void retry_stalled(struct blobs *b)
{
	struct list now = b->stalled;
	if (list_empty(&b->stalled))
		return;
	now.next->prev = now.prev->next = &now;
	list_init(&b->stalled); /* those that stall again come back to it */
	while (!list_empty(&now)) {
		struct blob_stream *s =
			container_of(now.next, struct blob_stream, stall_link);
		list_del(&s->stall_link);
		if (s->is_finished || s->unsaid_credit)
			blobs_retry(b, s);
		else
			stream_ops(s)->pump(b, s);
	}
}

static void tick(struct blobs *b)
{
	b->next_tick_ns = b->now_ns + TICK_NS;
	for (size_t i = 0; i < PEER_BUCKETS; i++) {
		struct list *at, *next;
		list_for_each_safe (at, next, &b->peers[i]) {
			struct blob_peer *peer = container_of(at, struct blob_peer, link);
			stream_check_times(b, peer);
			if (list_empty(&peer->streams) && !peer->is_gone &&
			    b->now_ns - peer->heard_ns > PEER_IDLE_NS)
				blobs_forget_peer(b, peer);
		}
	}
}

static void *blobs_main(void *arg)
{
	struct blobs *b = arg;
	size_t count = b->o.endpoint_count;
	pthread_setname_np(pthread_self(), "blobs");
	zmq_pollitem_t items[BLOBS_ENDPOINTS + 2];
	for (;;) {
		for (size_t i = 0; i < count; i++)
			items[i] = (zmq_pollitem_t){.socket = b->sockets[i],
						    .events = ZMQ_POLLIN};
		items[count] = (zmq_pollitem_t){.fd = b->wake, .events = ZMQ_POLLIN};
		items[count + 1] = (zmq_pollitem_t){.fd = b->stop, .events = ZMQ_POLLIN};
		long wait_ms = list_empty(&b->stalled) ? TICK_NS / NS_PER_MS : STALL_MS;
		if (zmq_poll(items, (int)count + 2, wait_ms) < 0 && errno == ETERM)
			break;
		if (items[count + 1].revents)
			break;
		b->now_ns = clock_mono_ns();
		if (items[count].revents)
			take_back(b);
		for (size_t i = 0; i < count; i++) {
			if (items[i].revents)
				read_socket(b, (unsigned)i);
		}
		retry_stalled(b);
		stream_give_turns(b);
		if (b->now_ns >= b->next_tick_ns)
			tick(b);
		free_gone(b);
	}
	return NULL;
}

/* ---- life ---- */

static int bind_endpoint(struct blobs *b, size_t i, struct err *e)
{
	const struct blobs_endpoint *endpoint = &b->endpoints[i];
	void *socket = b->sockets[i] = zmq_socket(b->o.zmq_context, ZMQ_ROUTER);
	if (!socket)
		return err_set(e, ERR_FAILED, "cannot make a socket for blobs: %s",
			       zmq_strerror(errno));
	endpoint_setup(socket, WIRE_BLOB_MESSAGE_MAX);
	int queue = QUEUE_MESSAGES;
	zmq_setsockopt(socket, ZMQ_SNDHWM, &queue, sizeof queue);
	zmq_setsockopt(socket, ZMQ_RCVHWM, &queue, sizeof queue);
	int rc = endpoint->curve ? endpoint_secure_server(socket, endpoint->curve) : 0;
	if (rc)
		return err_set(e, ERR_FAILED, "cannot secure the blob socket: %s",
			       zmq_strerror(-rc));
	if (zmq_bind(socket, endpoint->url) < 0) {
		err_set(e, ERR_FAILED, "cannot listen for blobs on %s: %s", endpoint->url,
			zmq_strerror(errno));
		err_next(e, "choose another address: --blob-listen URL");
		return ERR_FAILED;
	}
	b->urls[i] = endpoint_bound(socket);
	if (!b->urls[i])
		return err_set(e, ERR_FAILED, "cannot listen for blobs on %s",
			       endpoint->url);
	return 0;
}

static void blobs_free(struct blobs *b)
{
	jobs_stop(b);
	for (struct blob_stream *s; (s = jobs_take(b));) {
		s->is_busy = false;
		if (s->is_dying)
			stream_end(b, s);
	}
	for (size_t i = 0; i < PEER_BUCKETS; i++) {
		while (!list_empty(&b->peers[i]))
			blobs_forget_peer(b, container_of(b->peers[i].next,
							  struct blob_peer, link));
	}
	free_gone(b);
	assert(!b->streams_now && !b->turns[0] && !b->turns[1]);
	for (size_t i = 0; i < BLOBS_ENDPOINTS; i++) {
		if (b->sockets[i])
			zmq_close(b->sockets[i]);
		free(b->urls[i]);
	}
	if (b->stop >= 0)
		close(b->stop);
	if (b->wake >= 0)
		close(b->wake);
	pthread_cond_destroy(&b->jobs.work);
	pthread_mutex_destroy(&b->jobs.lock);
	wire_arena_fini(&b->arena);
	free(b);
}

static int start_loop(struct blobs *b)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&b->thread, NULL, blobs_main, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

int blobs_start(struct blobs **blobsp, const struct blobs_options *options, struct err *e)
{
	if (options->endpoint_count > BLOBS_ENDPOINTS)
		return err_set(e, ERR_USAGE, "at most %d addresses for blobs",
			       BLOBS_ENDPOINTS);
	struct blobs *b = mem_alloc(sizeof *b);
	b->o = *options;
	memcpy(b->endpoints, options->endpoints,
	       options->endpoint_count * sizeof *options->endpoints);
	b->o.endpoints = b->endpoints;
	if (!b->o.welcome.base.descriptor)
		cashet__welcome__init(&b->o.welcome);
	for (size_t i = 0; i < PEER_BUCKETS; i++)
		list_init(&b->peers[i]);
	list_init(&b->waiting);
	list_init(&b->stalled);
	list_init(&b->gone);
	wire_arena_init(&b->arena);
	b->stop = eventfd(0, EFD_CLOEXEC);
	b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->now_ns = clock_mono_ns();
	int rc = jobs_start(b);
	if (rc == 0 && (b->stop < 0 || b->wake < 0))
		rc = -EMFILE;
	if (rc)
		rc = err_set(e, ERR_FAILED, "cannot start the blob service: %s",
			     strerror(-rc));
	for (size_t i = 0; rc == 0 && i < b->o.endpoint_count; i++)
		rc = bind_endpoint(b, i, e);
	if (rc == 0 && start_loop(b) < 0)
		rc = err_set(e, ERR_FAILED, "cannot start the blob service: no thread");
	if (rc) {
		blobs_free(b);
		return rc;
	}
	*blobsp = b;
	return 0;
}

void blobs_stop(struct blobs *b)
{
	if (!b)
		return;
	uint64_t one = 1;
	(void)!write(b->stop, &one, sizeof one);
	pthread_join(b->thread, NULL);
	blobs_free(b);
}

const char *blobs_url(const struct blobs *b, size_t i)
{
	return b->urls[i];
}

void blobs_count(struct blobs *b, struct blobs_counters *out)
{
	*out = (struct blobs_counters){
		.refused_messages = b->refused,
		.puts = b->puts,
		.gets = b->gets,
		.bytes_in = b->bytes_in,
		.bytes_out = b->bytes_out,
		.peers = b->peers_now,
		.streams = b->streams_now,
	};
}
