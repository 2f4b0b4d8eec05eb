/* blob_client.c - see blob_client.h: the session with a broker's blob socket, and the loop that runs
 * transfers on it.
 *
 * Nothing is remembered by the broker across connections. Where libzmq reconnects by itself, our
 * next message is answered by "say Hello first"; where there is silence, streams are nudged (credit
 * of 0), and after more of it the socket is thrown away for a new one. Either way open transfers
 * start again, until nothing has moved for give_up_ns. */
#include "proto/blob_client_internal.h"

#include "common/clock.h"
#include "common/rand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GIVE_UP_NS (30 * NS_PER_S)
#define NUDGE_NS (2 * NS_PER_S)
#define SILENCE_NS (6 * NS_PER_S)
#define POLL_MS 100
#define QUEUE_MESSAGES 32
#define DIGESTS_MAX 4096 /* in one question */

/* ---- session ---- */

static void close_socket(struct blob_client *c)
{
	if (c->socket)
		zmq_close(c->socket);
	c->socket = NULL;
	c->session = SESSION_NONE;
	c->is_blocked = false;
}

int blob_client_say(struct blob_client *c, Cashet__BlobMessage *m)
{
	int rc = wire_send_blob(c->socket, NULL, 0, m, NULL, 0, NULL);
	if (rc)
		c->is_blocked = true;
	return rc;
}

static void say_hello(struct blob_client *c)
{
	Cashet__Hello hello = CASHET__HELLO__INIT;
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	hello.protocol = WIRE_PROTOCOL;
	hello.instance = (ProtobufCBinaryData){KEY_SIZE, c->instance};
	hello.name = c->name;
	m.kind = CASHET__BLOB_MESSAGE__KIND__HELLO;
	m.stream = c->hello_stream = c->next_stream++;
	m.hello = &hello;
	(void)blob_client_say(c, &m);
	c->session = SESSION_HELLO;
	c->hello_ns = c->heard_ns = c->now_ns;
}

static int connect_socket(struct blob_client *c, struct err *e)
{
	close_socket(c);
	c->socket = zmq_socket(c->o.zmq_context, ZMQ_DEALER);
	if (!c->socket)
		return err_set(e, ERR_FAILED, "cannot make a socket for blobs: %s",
			       zmq_strerror(errno));
	endpoint_setup(c->socket, WIRE_BLOB_MESSAGE_MAX);
	int queue = QUEUE_MESSAGES;
	zmq_setsockopt(c->socket, ZMQ_SNDHWM, &queue, sizeof queue);
	zmq_setsockopt(c->socket, ZMQ_RCVHWM, &queue, sizeof queue);
	int rc = endpoint_secure_client(c->socket, c->o.self, c->o.server);
	if (rc)
		return err_set(e, ERR_FAILED, "cannot use the key '%s': %s", c->self.name,
			       zmq_strerror(-rc));
	if (zmq_connect(c->socket, c->url) < 0)
		return err_set(e, ERR_UNREACHABLE, "cannot connect to %s: %s", c->url,
			       zmq_strerror(errno));
	say_hello(c);
	return 0;
}

static void restart_all(struct blob_client *c, struct transfer *ts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (ts[i].is_open)
			transfer_restart(&ts[i], c->now_ns);
	}
}

/* ---- what comes in ---- */

static int on_session_message(struct blob_client *c, struct transfer *ts, size_t count,
			      const Cashet__BlobMessage *m, struct err *e)
{
	if (m->kind == CASHET__BLOB_MESSAGE__KIND__WELCOME &&
	    m->stream == c->hello_stream) {
		c->session = SESSION_OPEN;
		return 0;
	}
	if (m->kind != CASHET__BLOB_MESSAGE__KIND__ERROR || !m->error)
		return 0;
	if (m->stream == c->hello_stream)
		return err_set(
			e, m->error->code ? (enum err_code)m->error->code : ERR_FAILED,
			"the broker refuses to talk about blobs: %s", m->error->what);
	if (m->stream == 0 && c->session == SESSION_OPEN) { /* say Hello first */
		restart_all(c, ts, count);
		say_hello(c);
	}
	return 0;
}

static int on_frame(struct blob_client *c, struct transfer *ts, size_t count,
		    const struct wire_frame *frame, struct err *e)
{
	wire_arena_reset(&c->arena);
	const Cashet__BlobMessage *m =
		wire_unpack_blob(&c->arena, frame->data, frame->size);
	if (!m)
		return err_set(e, ERR_FAILED,
			       "the broker sent something that is no message");
	c->heard_ns = c->now_ns;
	for (size_t i = 0; i < count; i++) {
		if (!ts[i].is_open || ts[i].is_done || ts[i].stream != m->stream)
			continue;
		int rc = transfer_on_message(c, &ts[i], m, frame, e);
		ts[i].has_failed = rc != 0;
		return rc;
	}
	return on_session_message(c, ts, count, m, e);
}

static int read_socket(struct blob_client *c, struct transfer *ts, size_t count,
		       struct err *e)
{
	int rc = 0;
	while (rc == 0) {
		struct wire_frame frame;
		int got = wire_recv(c->socket, false, &frame);
		if (got == 1)
			return 0;
		if (got == 0)
			rc = on_frame(c, ts, count, &frame, e);
		wire_frame_fini(&frame);
	}
	return rc;
}

/* ---- the loop ---- */

static int check_times(struct blob_client *c, struct transfer *ts, size_t count,
		       struct err *e)
{
	uint64_t give_up = c->o.give_up_ns ? c->o.give_up_ns : GIVE_UP_NS;
	if (c->o.cancelled && c->o.cancelled(c->o.cancelled_arg))
		return err_set(e, ERR_DETACHED, "the transfer of blobs was cancelled");
	if (c->now_ns - c->progress_ns > give_up) {
		err_set(e, ERR_UNREACHABLE, "%s: no blob has moved for %u s", c->url,
			(unsigned)(give_up / NS_PER_S));
		err_next(e, "is the broker up, and its blob port reachable from here?");
		return ERR_UNREACHABLE;
	}
	if (c->now_ns - c->heard_ns > SILENCE_NS) {
		restart_all(c, ts, count);
		return connect_socket(c, e);
	}
	for (size_t i = 0; i < count; i++) {
		struct transfer *t = &ts[i];
		if (!t->is_open || t->is_done || c->now_ns - t->heard_ns < NUDGE_NS ||
		    c->now_ns - t->nudged_ns < NUDGE_NS)
			continue;
		Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
		m.stream = t->stream;
		m.kind = CASHET__BLOB_MESSAGE__KIND__CREDIT;
		(void)blob_client_say(c, &m);
		t->nudged_ns = c->now_ns;
	}
	return 0;
}

/* move() - open what may be opened, send what may be sent. *leftp: transfers that are not done. */
static int move(struct blob_client *c, struct transfer *ts, size_t count, size_t *leftp,
		struct err *e)
{
	size_t left = 0;
	unsigned open = 0;
	c->is_blocked = false;
	for (size_t i = 0; i < count; i++) {
		left += !ts[i].is_done;
		open += ts[i].is_open && !ts[i].is_done;
	}
	*leftp = left;
	unsigned want = left < OPEN_MAX ? (unsigned)left : OPEN_MAX;
	for (size_t i = 0; i < count && c->session == SESSION_OPEN && left; i++) {
		struct transfer *t = &ts[i];
		int rc = 0;
		if (t->is_done)
			continue;
		if (!t->is_open && open < want && !c->is_blocked &&
		    c->now_ns >= t->retry_ns) {
			rc = transfer_open(c, t, want, e);
			open++;
		}
		if (rc == 0 && t->is_open)
			rc = transfer_pump(c, t, e);
		if (rc)
			return rc;
	}
	return 0;
}

static int run_loop(struct blob_client *c, struct transfer *ts, size_t count,
		    struct err *e)
{
	for (;;) {
		size_t left = 0;
		c->now_ns = clock_mono_ns();
		int rc = check_times(c, ts, count, e);
		if (rc == 0)
			rc = move(c, ts, count, &left, e);
		if (rc || !left)
			return rc;
		zmq_pollitem_t item = {.socket = c->socket, .events = ZMQ_POLLIN};
		if (c->is_blocked)
			item.events |= ZMQ_POLLOUT;
		if (zmq_poll(&item, 1, POLL_MS) < 0 && errno == ETERM)
			return err_set(e, ERR_FAILED,
				       "the transfer of blobs was stopped");
		c->now_ns = clock_mono_ns();
		rc = read_socket(c, ts, count, e);
		if (rc)
			return rc;
	}
}

/* run() - until all are done, or one failed. What was left open is cancelled. */
static int run(struct blob_client *c, struct transfer *ts, size_t count, struct err *e)
{
	struct err local = {0};
	if (!e)
		e = &local;
	c->now_ns = c->progress_ns = c->heard_ns = clock_mono_ns();
	int rc = c->socket ? 0 : connect_socket(c, e);
	if (rc == 0)
		rc = run_loop(c, ts, count, e);
	for (size_t i = 0; i < count; i++) {
		if (ts[i].is_open && !ts[i].is_done && c->socket) {
			Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
			m.stream = ts[i].stream;
			m.kind = CASHET__BLOB_MESSAGE__KIND__CANCEL;
			(void)blob_client_say(c, &m);
		}
		transfer_fini(&ts[i]);
	}
	if (rc == ERR_UNREACHABLE)
		close_socket(c);
	return rc;
}

/* ---- the interface ---- */

int blob_client_new(struct blob_client **clientp,
		    const struct blob_client_options *options, struct err *e)
{
	int rc = endpoint_check(options->url, e);
	if (rc)
		return rc;
	struct blob_client *c = calloc(1, sizeof *c);
	if (!c)
		return err_set(e, ERR_FAILED, "out of memory");
	c->o = *options;
	c->url = strdup(options->url);
	c->name = strdup(options->name ? options->name : "");
	if (options->self && options->server) {
		c->self = *options->self;
		memcpy(c->server, options->server, KEY_SIZE);
		c->o.self = &c->self;
		c->o.server = c->server;
	}
	if (options->instance)
		memcpy(c->instance, options->instance, KEY_SIZE);
	else
		rand_bytes(c->instance, KEY_SIZE);
	c->next_stream = 1;
	wire_arena_init(&c->arena);
	if (!c->url || !c->name) {
		blob_client_free(c);
		return err_set(e, ERR_FAILED, "out of memory");
	}
	*clientp = c;
	return 0;
}

void blob_client_free(struct blob_client *c)
{
	if (!c)
		return;
	close_socket(c);
	wire_arena_fini(&c->arena);
	explicit_bzero(&c->self, sizeof c->self);
	free(c->url);
	free(c->name);
	free(c);
}

int blob_client_missing(struct blob_client *c, const uint8_t (*digests)[DIGEST_SIZE],
			size_t count, bool *missing, struct err *e)
{
	if (!count)
		return 0;
	size_t parts = (count + DIGESTS_MAX - 1) / DIGESTS_MAX;
	struct transfer *ts = calloc(parts, sizeof *ts);
	if (!ts)
		return err_set(e, ERR_FAILED, "out of memory");
	for (size_t i = 0; i < parts; i++) {
		size_t first = i * DIGESTS_MAX, left = count - first;
		ts[i].kind = TRANSFER_HAVE;
		ts[i].digests = digests + first;
		ts[i].count = left < DIGESTS_MAX ? left : DIGESTS_MAX;
		ts[i].missing = missing + first;
	}
	int rc = run(c, ts, parts, e);
	free(ts);
	return rc;
}

/* Many items go in runs of bounded size, so that looking for one of a run stays cheap. */
#define RUN_ITEMS 256

int blob_client_put_many(struct blob_client *c, struct blob_put_item *items, size_t count,
			 struct err *e)
{
	size_t room = count < RUN_ITEMS ? count : RUN_ITEMS;
	struct transfer *ts = calloc(room ? room : 1, sizeof *ts);
	if (!ts)
		return err_set(e, ERR_FAILED, "out of memory");
	int rc = 0;
	for (size_t at = 0; at < count && rc == 0; at += room) {
		size_t part = count - at < room ? count - at : room;
		memset(ts, 0, part * sizeof *ts);
		for (size_t i = 0; i < part; i++) {
			struct blob_put_item *item = &items[at + i];
			ts[i].kind = TRANSFER_PUT;
			ts[i].fd = item->fd;
			ts[i].data = item->data;
			ts[i].source = item->source;
			ts[i].source_arg = item->source_arg;
			ts[i].base = item->offset;
			ts[i].size = item->size;
			ts[i].want = item->want;
			ts[i].digest = item->digest;
		}
		rc = run(c, ts, part, e);
	}
	free(ts);
	return rc;
}

int blob_client_put_fd(struct blob_client *c, int fd, uint64_t offset, uint64_t size,
		       const uint8_t *want, uint8_t digest[DIGEST_SIZE], struct err *e)
{
	struct blob_put_item item = {
		.fd = fd, .offset = offset, .size = size, .want = want};
	int rc = blob_client_put_many(c, &item, 1, e);
	if (rc == 0)
		memcpy(digest, item.digest, DIGEST_SIZE);
	return rc;
}

int blob_client_put(struct blob_client *c, const void *data, size_t size,
		    uint8_t digest[DIGEST_SIZE], struct err *e)
{
	uint8_t want[DIGEST_SIZE];
	sha256_digest(data, size, want);
	struct blob_put_item item = {.fd = -1, .data = data, .size = size, .want = want};
	int rc = blob_client_put_many(c, &item, 1, e);
	if (rc == 0)
		memcpy(digest, item.digest, DIGEST_SIZE);
	return rc;
}

static struct transfer get_of(const uint8_t *digest, uint64_t offset, uint64_t max,
			      int (*sink)(void *arg, const void *data, size_t size),
			      void *arg)
{
	struct transfer t = {
		.kind = TRANSFER_GET,
		.asked = digest,
		.start = offset,
		.max = max,
		.is_verified = !offset && !max,
		.sink = sink,
		.sink_arg = arg,
	};
	sha256_init(&t.sha);
	return t;
}

int blob_client_get(struct blob_client *c, const uint8_t digest[DIGEST_SIZE],
		    uint64_t offset, uint64_t max,
		    int (*sink)(void *arg, const void *data, size_t size), void *arg,
		    struct err *e)
{
	struct transfer t = get_of(digest, offset, max, sink, arg);
	return run(c, &t, 1, e);
}

int blob_client_get_many(struct blob_client *c, const struct blob_get_item *items,
			 size_t count, size_t *failedp, struct err *e)
{
	size_t room = count < RUN_ITEMS ? count : RUN_ITEMS;
	struct transfer *ts = calloc(room ? room : 1, sizeof *ts);
	if (!ts)
		return err_set(e, ERR_FAILED, "out of memory");
	int rc = 0;
	for (size_t at = 0; at < count && rc == 0; at += room) {
		size_t part = count - at < room ? count - at : room;
		for (size_t i = 0; i < part; i++) {
			const struct blob_get_item *item = &items[at + i];
			ts[i] = get_of(item->digest, 0, 0, item->sink, item->arg);
		}
		rc = run(c, ts, part, e);
		for (size_t i = 0; rc && failedp && i < part; i++) {
			if (ts[i].has_failed)
				*failedp = at + i;
		}
	}
	free(ts);
	return rc;
}

struct buf_sink {
	struct buf *out;
	size_t before, max;
};

static int add_to_buf(void *arg, const void *data, size_t size)
{
	struct buf_sink *sink = arg;
	if (size > sink->max - (sink->out->size - sink->before))
		return -EFBIG;
	buf_add(sink->out, data, size);
	return sink->out->failed ? -ENOMEM : 0;
}

int blob_client_get_buf(struct blob_client *c, const uint8_t digest[DIGEST_SIZE],
			size_t max, struct buf *out, struct err *e)
{
	struct buf_sink sink = {out, out->size, max};
	int rc = blob_client_get(c, digest, 0, 0, add_to_buf, &sink, e);
	if (rc)
		out->size = sink.before;
	return rc;
}
