/* blobs.c - see blobs.h: the loop and the life of the blob service. */
#include "broker/blobs/impl.h"

#include "broker/restore.h"
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
#define TICK_NS NS_PER_S
#define STALL_MS 5

/* ---- the loop ---- */

static void read_socket(struct blobs *b, unsigned endpoint)
{
	for (int i = 0; i < TURN_MESSAGES; i++) {
		struct wire_frame frame;
		int rc = wire_recv(b->sockets[endpoint], true, &frame);
		if (rc == 1)
			return;
		if (rc == 2)
			blobs_refuse(b, blobs_find_peer(b, endpoint, &frame),
				     "malformed frames");
		else
			blobs_handle(b, endpoint, &frame);
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
	for (size_t i = 0; i < b->o.endpoint_count; i++) {
		if (restore_listener(b->sockets[i], b->urls[i]) > 0)
			log_warn("listening again", "url=%s why=its file was removed",
				 b->urls[i]);
	}
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
		blobs_free_gone(b);
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
	blobs_free_gone(b);
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
		.files = b->files,
		.gets = b->gets,
		.bytes_in = b->bytes_in,
		.bytes_out = b->bytes_out,
		.peers = b->peers_now,
		.streams = b->streams_now,
	};
}
