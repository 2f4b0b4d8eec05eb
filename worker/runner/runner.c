/* runner.c - see runner.h: what is written to a runner and read from it. */
#include "worker/runner/runner.h"

#include "common/json_read.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "worker/runner/blobs.h"
#include "worker/runner/calls.h"
#include "worker/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READ_MIN 65536u
#define READS_MAX 16 /* in a row, before others have their turn */
#define LANGUAGE_PROTOCOL 1

/* Descriptors that go with the byte at this place of @out. They belong to whoever sent the call,
 * which keeps them open until it is answered or taken back. */
struct runner_mark {
	size_t at;
	const int *fds;
	size_t count;
};

/* ---- writing */

static void watch_room(struct worker *w, struct runner *r, bool waits)
{
	if (r->waits_for_room == waits || r->ended_ns)
		return;
	struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0u),
				    .data.u64 = LOOP_TAG(TAG_RUNNER) | r->number};
	epoll_ctl(w->epoll, EPOLL_CTL_MOD, r->sock, &event);
	r->waits_for_room = waits;
}

/* One sendmsg() of what may go together. Return: as send(). */
static ssize_t send_piece(struct runner *r, size_t *marksp)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(FRAME_DESCRIPTORS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {r->out.data + r->out_at, r->out.size - r->out_at};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	const struct runner_mark *mark = r->marks;
	*marksp = 0;
	if (r->mark_count && mark->at == r->out_at) {
		size_t size = mark->count * sizeof(int);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(size);
		struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
		head->cmsg_len = CMSG_LEN(size);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(head), mark->fds, size);
		*marksp = 1;
		mark++;
	}
	if (r->mark_count > *marksp)
		iov.iov_len = mark->at - r->out_at;
	return sendmsg(r->sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void runner_flush(struct worker *w, struct runner *r)
{
	while (r->out_at < r->out.size && r->state != RUNNER_DYING) {
		size_t marks;
		ssize_t n = send_piece(r, &marks);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ETOOMANYREFS)) {
			watch_room(w, r, true);
			return;
		}
		if (n < 0)
			break; /* it is gone: its end is about to be told */
		r->out_at += (size_t)n;
		r->mark_count -= marks;
		if (marks)
			memmove(r->marks, r->marks + marks,
				r->mark_count * sizeof *r->marks);
	}
	buf_reset(&r->out);
	r->out_at = 0;
	r->mark_count = 0;
	watch_room(w, r, false);
}

void runner_welcome(struct worker *w, struct runner *r)
{
	CLEANUP_BUF struct buf text = {0};
	struct json j;
	json_init(&j, &text);
	json_object(&j);
	json_key(&j, "protocol");
	json_uint(&j, LANGUAGE_PROTOCOL);
	json_key(&j, "dir");
	json_string(&j, r->dir->paths[DIR_SELF]);
	json_key(&j, "inline_max");
	json_uint(&j, BLOB_INLINE_MAX);
	json_end_object(&j);
	frame_add_json(&r->out, FRAME_WELCOME, (const char *)text.data, text.size);
}

void runner_ping(struct worker *w, struct runner *r)
{
	frame_add_token(&r->out, FRAME_PING, w->now_ns);
	r->pinged_ns = w->now_ns;
}

/* ---- calls */

static void add_module(struct json *j, const char *path)
{
	size_t size = strlen(path);
	CLEANUP_FREE char *name = mem_strdup(path);
	if (size < 4 || strcmp(path + size - 3, ".py")) {
		json_null(j);
		return;
	}
	name[size - 3] = '\0';
	char *last = strrchr(name, '/');
	if (last && strcmp(last, "/__init__") == 0)
		*last = '\0';
	for (char *at = name; *at; at++)
		if (*at == '/')
			*at = '.';
	json_string(j, name);
}

static void add_load(struct runner *r, uint32_t number, const struct check *c)
{
	const struct source_unit *u = sources_unit(c);
	CLEANUP_BUF struct buf text = {0};
	struct json j;
	json_init(&j, &text);
	json_object(&j);
	json_key(&j, "source");
	json_hex(&j, c->place->key, DIGEST_SIZE);
	json_key(&j, "dir");
	json_string(&j, c->place->files);
	json_key(&j, "path");
	json_string(&j, u->path);
	json_key(&j, "module");
	add_module(&j, u->path);
	json_key(&j, "name");
	json_string(&j, u->name);
	json_key(&j, "library");
	c->library ? json_string(&j, c->library) : json_null(&j);
	json_key(&j, "version");
	c->version ? json_string(&j, c->version) : json_null(&j);
	json_key(&j, "packages");
	json_array(&j);
	for (size_t i = 0; i < u->package_count; i++) {
		const struct source_package *p = &u->packages[i];
		if (!p->counts)
			continue;
		json_object(&j);
		json_key(&j, "name");
		json_string(&j, p->name);
		json_key(&j, "version");
		p->version ? json_string(&j, p->version) : json_null(&j);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
	frame_add_load(&r->out, number, (const char *)text.data, text.size);
}

/* The number under which it knows the function; the oldest one is given away when there are many. */
static uint32_t load_of(struct runner *r, const struct check *c)
{
	if (r->load_count && r->loads[r->load_last] == c->serial)
		return r->load_last;
	for (uint32_t i = 0; i < r->load_count; i++)
		if (r->loads[i] == c->serial)
			return r->load_last = i;
	uint32_t number = r->load_next++ % RUNNER_LOADS;
	if (number >= r->load_count)
		r->load_count = number + 1;
	r->loads[number] = c->serial;
	add_load(r, number, c);
	return r->load_last = number;
}

/* At most what a text16 can be. */
static struct frame_bytes bytes_of(const char *text)
{
	return (struct frame_bytes){(const uint8_t *)text, strnlen(text, UINT16_MAX)};
}

static uint64_t expected_ns(const struct attempt *a)
{
	uint64_t ns = pace_ns(&a->function->pace);
	return ns ? ns : POOL_AHEAD_NS;
}

void runner_call(struct worker *w, struct runner *r, struct attempt *a)
{
	struct call_blobs *blobs = a->prepare ? a->prepare->blobs : NULL;
	uint32_t load = load_of(r, a->check);
	const struct frame_call call = {
		.id = a->lease.epoch,
		.load = load,
		.index = a->lease.index,
		.attempt = a->number,
		.batch = a->lease.batch,
		.isolation = a->options->is_forked ? FRAME_FORK : FRAME_SHARED,
		.name = bytes_of(a->name),
		.directory = bytes_of(a->dir ? a->dir->paths[DIR_TASK] : ""),
		.args = {a->args, a->args_size},
		.blob_count = blobs ? (uint32_t)blobs->count : 0,
	};
	if (blobs && blobs->fd_count) {
		mem_grow(r->marks, r->mark_count, r->mark_capacity);
		r->marks[r->mark_count++] =
			(struct runner_mark){r->out.size, blobs->fds, blobs->fd_count};
	}
	frame_add_call(&r->out, &call, blobs ? blobs->items : NULL);
	list_add_tail(&r->calls, &a->call_link);
	r->call_count++;
	a->expected_ns = expected_ns(a);
	r->queued_ns += a->expected_ns;
	a->runner = r;
	attempt_become(&w->attempts, a, ATTEMPT_SENT);
	if (r->state == RUNNER_READY) {
		r->state = RUNNER_BUSY;
		w->pool.idle--;
	}
	runner_promote(w, r);
}

void runner_detach(struct worker *w, struct runner *r, struct attempt *a)
{
	list_del(&a->call_link);
	r->call_count--;
	r->queued_ns -= a->expected_ns;
	a->runner = NULL;
	if (r->call_count)
		return;
	r->queued_ns = 0;
	if (r->has_grant)
		capacity_give(&w->capacity, &r->grant);
	r->has_grant = false;
	r->since_ns = w->now_ns;
	if (r->state == RUNNER_BUSY) {
		r->state = RUNNER_READY;
		w->pool.idle++;
	}
}

static void begin_turn(struct worker *w, struct attempt *a)
{
	if (a->state == ATTEMPT_RUNNING)
		return;
	attempt_become(&w->attempts, a, ATTEMPT_RUNNING);
	a->started_ns = w->now_ns;
	a->kill_ns = TIME_NEVER;
	a->punched[0] = a->punched[1] = 0;
}

void runner_promote(struct worker *w, struct runner *r)
{
	struct attempt *a = runner_oldest(r);
	if (!a || a->state == ATTEMPT_RUNNING || !r->was_ready)
		return;
	begin_turn(w, a);
	if (a->stop != STOP_NONE && r->state != RUNNER_DYING)
		schedule_signal_stop(w, a); /* told while it waited for its turn */
}

/* ---- its end */

void runner_condemn(struct runner *r, const struct attempt *a)
{
	if (!r->condemned)
		r->condemned = a->lease.epoch;
	r->state = RUNNER_DYING;
}

void runner_kill(struct worker *w, struct runner *r, const char *fault)
{
	if (fault && !r->fault) {
		log_warn("a runner is ended", "language=%s why=%s", r->kind->language,
			 fault);
		r->fault = mem_strdup(fault);
	}
	if (r->state == RUNNER_READY)
		w->pool.idle--;
	r->state = RUNNER_DYING;
	if (r->user.slot && r->user.slot->sock >= 0)
		slot_send_signal(r->user.slot->sock, r->user.run, SIGKILL);
}

/* ---- reading */

static bool is_protocol(const struct frame_bytes *json)
{
	struct json_reader j;
	struct json_token t;
	bool found = false;
	json_reader_init(&j, json->data, json->size);
	bool ok = json_next(&j, &t) == 0 && t.type == JSON_OBJECT;
	while (ok && json_next(&j, &t) == 0 && t.type == JSON_KEY) {
		bool is_it = t.size == 8 && memcmp(t.text, "protocol", 8) == 0;
		ok = json_next(&j, &t) == 0;
		found = found ||
			(ok && is_it && t.type == JSON_INT && t.i == LANGUAGE_PROTOCOL);
		ok = ok && json_skip(&j, &t) == 0;
	}
	json_reader_fini(&j);
	return found;
}

static const char *take_ready(struct worker *w, struct runner *r, const struct frame *f)
{
	if (r->was_ready)
		return "the runner said twice that it is ready";
	if (!is_protocol(&f->json))
		return "the runner speaks another protocol than this worker";
	log_debug("runner ready", "language=%s number=%u", r->kind->language, r->number);
	r->was_ready = true;
	w->pool.starting--;
	r->since_ns = w->now_ns;
	if (r->state == RUNNER_STARTING) {
		r->state = r->call_count ? RUNNER_BUSY : RUNNER_READY;
		w->pool.idle += !r->call_count;
	}
	runner_promote(w, r);
	return NULL;
}

static const char *take_answer(struct worker *w, struct runner *r, const struct frame *f)
{
	struct attempt *a = runner_oldest(r);
	if (!r->was_ready)
		return "the runner answered before it said that it is ready";
	if (!a || a->lease.epoch != f->answer.id)
		return "the runner answered a call that is not under way";
	bool is_condemned = r->condemned == a->lease.epoch;
	begin_turn(w, a); /* several answers came at once */
	runner_detach(w, r, a);
	r->answered++;
	calls_answered(w, r, a, f);
	if (is_condemned)
		runner_kill(w, r, NULL); /* the signal may hit anything now */
	return NULL;
}

/* Return: what is wrong with it, or NULL. */
static const char *take_frame(struct worker *w, struct runner *r, const struct frame *f)
{
	switch (f->type) {
	case FRAME_READY:
		return take_ready(w, r, f);
	case FRAME_DONE:
	case FRAME_ERROR:
		return take_answer(w, r, f);
	case FRAME_PONG:
		if (!r->pinged_ns || f->token != r->pinged_ns)
			return "the runner answered a ping that was not sent";
		r->pinged_ns = 0;
		r->heard_ns = w->now_ns;
		return NULL;
	case FRAME_WELCOME:
	case FRAME_LOAD:
	case FRAME_CALL:
	case FRAME_PING:
	case FRAME_QUIT:
		break;
	}
	return "the runner sent a frame that only workers send";
}

/* All whole frames of what was read. */
static void take_frames(struct worker *w, struct runner *r)
{
	while (!r->fault && r->in.size > r->in_at) {
		const uint8_t *data = r->in.data + r->in_at;
		size_t have = r->in.size - r->in_at, whole = frame_size(data, have);
		struct frame f;
		const char *problem = NULL;
		if (whole == 0 || (whole != SIZE_MAX && whole > have))
			break;
		if (whole == SIZE_MAX || frame_decode(data, whole, &f))
			problem = "the runner sent a malformed frame";
		else
			problem = take_frame(w, r, &f);
		if (problem) {
			runner_kill(w, r, problem);
			return;
		}
		r->in_at += whole;
	}
	runner_promote(w, r);
}

static void make_room(struct runner *r)
{
	if (r->in_at == r->in.size) {
		buf_reset(&r->in);
		r->in_at = 0;
	} else if (r->in_at >= READ_MIN) {
		memmove(r->in.data, r->in.data + r->in_at, r->in.size - r->in_at);
		r->in.size -= r->in_at;
		r->in_at = 0;
	}
}

/* It is about to end, or a function closed what is not its own; then it is ended. */
static void stream_ended(struct worker *w, struct runner *r)
{
	if (r->ended_ns)
		return;
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, r->sock, NULL);
	r->ended_ns = w->now_ns;
	if (r->state == RUNNER_READY)
		w->pool.idle--;
	r->state = RUNNER_DYING;
}

bool runner_read(struct worker *w, struct runner *r)
{
	for (int i = 0; i < READS_MAX && !r->fault && !r->ended_ns; i++) {
		make_room(r);
		uint8_t *to = buf_reserve(&r->in, READ_MIN);
		size_t room = r->in.capacity - r->in.size;
		ssize_t n = to ? recv(r->sock, to, room, MSG_DONTWAIT) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && errno != EAGAIN))
			stream_ended(w, r);
		if (n <= 0)
			return false;
		r->in.size += (size_t)n;
		take_frames(w, r);
		if ((size_t)n < room)
			return !r->fault;
	}
	return !r->fault && !r->ended_ns;
}
