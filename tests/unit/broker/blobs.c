/* blobs.c - the blob service, through its client and through a raw socket that misbehaves. */
#include "broker/blobs/blobs.h"
#include "broker/store/cas_ops.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "common/rand.h"
#include "proto/blob_client.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>
#include <zstd.h>

struct rig {
	char folder[64], url[128];
	void *context;
	struct cas *cas;
	struct blobs *blobs;
	struct blobs_endpoint endpoint;
};

static int find_inline(void *arg, const uint8_t *digest, struct buf *out)
{
	uint8_t name[DIGEST_SIZE];
	(void)arg;
	sha256_digest("inline", 6, name);
	if (memcmp(digest, name, DIGEST_SIZE) != 0)
		return 1;
	buf_add(out, "inline", 6);
	return 0;
}

static void start(struct rig *r)
{
	struct blobs_options o = {
		.zmq_context = r->context,
		.cas = r->cas,
		.endpoints = &r->endpoint,
		.endpoint_count = 1,
		.find_inline = find_inline,
	};
	struct err e = {0};
	r->endpoint = (struct blobs_endpoint){.url = r->url};
	cr_assert_eq(blobs_start(&r->blobs, &o, &e), 0, "%s", e.what);
}

static void setup_at(struct rig *r, const char *url)
{
	struct err e = {0};
	strcpy(r->folder, "/tmp/cashet-blobs-XXXXXX");
	cr_assert(mkdtemp(r->folder));
	snprintf(r->url, sizeof r->url, "ipc://%s/b.sock", r->folder);
	if (url)
		strcpy(r->url, url);
	r->context = zmq_ctx_new();
	cr_assert_eq(cas_open_dir(&r->cas, r->folder, &e), 0, "%s", e.what);
	start(r);
	if (url)
		snprintf(r->url, sizeof r->url, "%s", blobs_url(r->blobs, 0));
}

static void setup(struct rig *r)
{
	setup_at(r, NULL);
}

static void teardown(struct rig *r)
{
	blobs_stop(r->blobs);
	cas_free(r->cas);
	zmq_ctx_term(r->context);
	fs_remove_tree(r->folder);
}

static struct blob_client *client(struct rig *r)
{
	struct blob_client *c = NULL;
	struct blob_client_options o = {
		.zmq_context = r->context, .url = r->url, .name = "test"};
	struct err e = {0};
	cr_assert_eq(blob_client_new(&c, &o, &e), 0, "%s", e.what);
	return c;
}

static uint8_t *make(size_t size, bool is_random)
{
	uint8_t *data = mem_resize(NULL, size ? size : 1);
	if (is_random)
		rand_bytes(data, size);
	for (size_t i = 0; !is_random && i < size; i++)
		data[i] = (uint8_t)(i * i >> 7);
	return data;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* until() - wait for a condition, 60 s at most. */
#define until(condition)                                                                 \
	do {                                                                             \
		uint64_t end_ = clock_mono_ns() + 60 * NS_PER_S;                         \
		while (!(condition) && clock_mono_ns() < end_)                           \
			sleep_ms(2);                                                     \
		cr_assert(condition);                                                    \
	} while (0)

static struct blobs_counters count(struct rig *r)
{
	struct blobs_counters c;
	blobs_count(r->blobs, &c);
	return c;
}

Test(blobs, bytes_of_any_size_go_in_and_come_out)
{
	static const size_t sizes[] = {0,      1,	100,	       65536,	65537,
				       262144, 1 << 20, (1 << 20) + 1, 5000000, 20 << 20};
	struct rig r;
	struct err e = {0};
	setup(&r);
	struct blob_client *c = client(&r);
	for (size_t i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
		size_t size = sizes[i / 2];
		uint8_t *data = make(size, i % 2), digest[DIGEST_SIZE], want[DIGEST_SIZE];
		sha256_digest(data, size, want);
		cr_assert_eq(blob_client_put(c, data, size, digest, &e), 0, "%s", e.what);
		cr_assert_arr_eq(digest, want, DIGEST_SIZE);
		cr_assert_eq(cas_has(r.cas, digest, NULL), 0);
		struct buf out = {0};
		cr_assert_eq(blob_client_get_buf(c, digest, size, &out, &e), 0, "%s",
			     e.what);
		cr_assert_eq(out.size, size);
		cr_assert(!size || !memcmp(out.data, data, size));
		buf_fini(&out);
		free(data);
	}
	cr_assert_eq(count(&r).refused_messages, 0);
	until(count(&r).streams == 0);
	blob_client_free(c);
	teardown(&r);
}

Test(blobs, files_go_in_from_their_descriptor)
{
	struct rig r;
	struct err e = {0};
	setup(&r);
	struct blob_client *c = client(&r);
	char path[128];
	size_t size = 3 << 20;
	uint8_t *data = make(size, true), digest[DIGEST_SIZE], want[DIGEST_SIZE];
	snprintf(path, sizeof path, "%s/file", r.folder);
	cr_assert_eq(fs_write_atomic(path, data, size, 0600), 0);
	int fd = open(path, O_RDONLY);
	sha256_digest(data + 1000, size - 1000, want);
	cr_assert_eq(blob_client_put_fd(c, fd, 1000, size - 1000, NULL, digest, &e), 0,
		     "%s", e.what);
	cr_assert_arr_eq(digest, want, DIGEST_SIZE);
	cr_assert_eq(count(&r).files, 1); /* it was read there */
	/* Another digest than promised, and a file that is too short. */
	cr_assert_eq(blob_client_put_fd(c, fd, 0, size, want, digest, &e), ERR_USAGE);
	cr_assert_eq(blob_client_put_fd(c, fd, 0, size + 1, NULL, digest, &e),
		     ERR_FAILED);
	until(count(&r).streams == 0);
	close(fd);
	free(data);
	blob_client_free(c);
	teardown(&r);
}

/* Pieces of a file: every third as it is, the others packed. */
struct cut_up {
	int fd;
	struct blob_piece pieces[16];
	uint8_t *bytes;
	size_t count, next, by_file;
};

static void cut_up(struct cut_up *f, const uint8_t *data, size_t size)
{
	char path[] = "/tmp/cashet-blobs-XXXXXX";
	uint64_t end = 0;
	*f = (struct cut_up){.fd = mkstemp(path)};
	unlink(path);
	f->bytes = mem_alloc(2 * size + 4096);
	for (size_t at = 0; at < size; at += BLOB_PIECE_MAX, f->count++) {
		struct blob_piece *p = &f->pieces[f->count];
		size_t n = size - at < BLOB_PIECE_MAX ? size - at : BLOB_PIECE_MAX;
		*p = (struct blob_piece){.from = end, .size = (uint32_t)n};
		p->data = f->bytes + end;
		if (f->count % 3)
			p->stored = (uint32_t)ZSTD_compress(
				f->bytes + end, 2 * size + 4096 - end, data + at, n, 1);
		else
			memcpy(f->bytes + end, data + at, n);
		end += p->stored ? p->stored : n;
	}
	cr_assert_eq(pwrite(f->fd, f->bytes, end, 0), (ssize_t)end);
}

static int next_cut(void *arg, size_t max, bool by_file, struct blob_piece *piece,
		    struct err *e)
{
	struct cut_up *f = arg;
	(void)max, (void)e;
	*piece = (struct blob_piece){0};
	if (f->next == f->count)
		return 0;
	*piece = f->pieces[f->next++];
	if (by_file) {
		piece->data = NULL;
		f->by_file++;
	}
	return 0;
}

Test(blobs, packed_pieces_go_in_by_file_and_by_message)
{
	static const char *const urls[] = {NULL, "tcp://127.0.0.1:*"};
	size_t size = (10 << 20) + 12345;
	uint8_t *data = make(size, false), want[DIGEST_SIZE];
	sha256_digest(data, size, want);
	for (int i = 0; i < 2; i++) {
		struct rig r;
		struct err e = {0};
		struct cut_up f;
		setup_at(&r, urls[i]);
		cut_up(&f, data, size);
		struct blob_client *c = client(&r);
		struct blob_put_item item = {.fd = f.fd,
					     .source = next_cut,
					     .source_arg = &f,
					     .size = BLOB_SIZE_UNKNOWN,
					     .want = want};
		cr_assert_eq(blob_client_put_many(c, &item, 1, &e), 0, "%s", e.what);
		cr_assert_eq(f.by_file, i ? 0 : f.count); /* never over a network */
		cr_assert_eq(count(&r).files, !i);
		struct buf out = {0};
		cr_assert_eq(cas_read(r.cas, want, size, &out), 0);
		cr_assert_eq(memcmp(out.data, data, size), 0);
		buf_fini(&out);
		/* A frame that lies. */
		f.next = f.by_file = 0;
		f.pieces[4].size--;
		item.want = NULL;
		cr_assert_eq(blob_client_put_many(c, &item, 1, &e), ERR_USAGE);
		until(count(&r).streams == 0);
		blob_client_free(c);
		close(f.fd);
		free(f.bytes);
		teardown(&r);
	}
	free(data);
}

Test(blobs, what_is_missing_is_told)
{
	struct rig r;
	struct err e = {0};
	setup(&r);
	struct blob_client *c = client(&r);
	uint8_t digests[5][DIGEST_SIZE] = {{1}, {0}, {2}, {0}, {0}};
	bool missing[5] = {0};
	cr_assert_eq(blob_client_put(c, "stored", 6, digests[1], &e), 0, "%s", e.what);
	sha256_digest("inline", 6, digests[3]);
	memcpy(digests[4], sha256_empty, DIGEST_SIZE);
	cr_assert_eq(blob_client_missing(c, (const uint8_t(*)[DIGEST_SIZE])digests, 5,
					 missing, &e),
		     0, "%s", e.what);
	bool want[5] = {true, false, true, false, false};
	cr_assert_arr_eq(missing, want, sizeof want);
	struct buf out = {0};
	cr_assert_eq(blob_client_get_buf(c, digests[0], 100, &out, &e), ERR_NOT_FOUND);
	cr_assert_eq(blob_client_get_buf(c, digests[3], 100, &out, &e), 0);
	cr_assert_str_eq(buf_cstr(&out), "inline");
	cr_assert_eq(blob_client_get_buf(c, digests[1], 5, &out, &e), ERR_FAILED);
	cr_assert_eq(out.size, 6);
	buf_fini(&out);
	blob_client_free(c);
	teardown(&r);
}

Test(blobs, ten_thousand_questions_are_answered_in_order)
{
	enum { COUNT = 10000 };
	static uint8_t digests[COUNT][DIGEST_SIZE];
	static bool missing[COUNT];
	struct rig r;
	struct err e = {0};
	setup(&r);
	struct blob_client *c = client(&r);
	for (uint32_t i = 0; i < COUNT; i++) {
		memcpy(digests[i], &i, sizeof i);
		digests[i][31] = 1;
		if (i % 1000 == 7)
			memcpy(digests[i], sha256_empty, DIGEST_SIZE);
	}
	cr_assert_eq(blob_client_missing(c, (const uint8_t(*)[DIGEST_SIZE])digests, COUNT,
					 missing, &e),
		     0, "%s", e.what);
	for (uint32_t i = 0; i < COUNT; i++)
		cr_assert_eq(missing[i], i % 1000 != 7, "%u", i);
	blob_client_free(c);
	teardown(&r);
}

static int add_to_buf(void *arg, const void *data, size_t size)
{
	buf_add(arg, data, size);
	return 0;
}

Test(blobs, a_range_is_given_alone)
{
	struct rig r;
	struct err e = {0};
	setup(&r);
	struct blob_client *c = client(&r);
	size_t size = 3000000;
	uint8_t *data = make(size, true), digest[DIGEST_SIZE];
	static const struct {
		uint64_t offset, max, want;
	} ranges[] = {{0, 10, 10},	  {2999990, 0, 10}, {1000000, 1500000, 1500000},
		      {2999990, 500, 10}, {3000000, 5, 0},  {9000000, 0, 0}};
	cr_assert_eq(blob_client_put(c, data, size, digest, &e), 0, "%s", e.what);
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		struct buf out = {0};
		cr_assert_eq(blob_client_get(c, digest, ranges[i].offset, ranges[i].max,
					     add_to_buf, &out, &e),
			     0, "%s", e.what);
		cr_assert_eq(out.size, ranges[i].want, "%zu", i);
		cr_assert(!out.size ||
			  !memcmp(out.data, data + ranges[i].offset, out.size));
		buf_fini(&out);
	}
	free(data);
	blob_client_free(c);
	teardown(&r);
}

Test(blobs, many_go_at_once)
{
	enum { COUNT = 300 };
	struct rig r;
	struct err e = {0};
	setup(&r);
	struct blob_client *c = client(&r);
	static struct blob_put_item puts[COUNT];
	static struct blob_get_item gets[COUNT];
	static struct buf outs[COUNT];
	uint8_t *data = make(4 << 20, true);
	for (size_t i = 0; i < COUNT; i++) {
		size_t size = i % 60 == 0 ? 3 << 20 : 50 + i * 700;
		puts[i] =
			(struct blob_put_item){.fd = -1, .data = data + i, .size = size};
		gets[i] = (struct blob_get_item){puts[i].digest, add_to_buf, &outs[i]};
	}
	cr_assert_eq(blob_client_put_many(c, puts, COUNT, &e), 0, "%s", e.what);
	cr_assert_eq(blob_client_get_many(c, gets, COUNT, NULL, &e), 0, "%s", e.what);
	for (size_t i = 0; i < COUNT; i++) {
		cr_assert_eq(outs[i].size, puts[i].size);
		cr_assert_eq(memcmp(outs[i].data, puts[i].data, puts[i].size), 0);
		buf_fini(&outs[i]);
	}
	size_t failed = 0;
	uint8_t none[DIGEST_SIZE] = {1};
	gets[17].digest = none;
	cr_assert_eq(blob_client_get_many(c, gets, COUNT, &failed, &e), ERR_NOT_FOUND);
	cr_assert_eq(failed, 17);
	for (size_t i = 0; i < COUNT; i++)
		buf_fini(&outs[i]);
	until(count(&r).streams == 0);
	free(data);
	blob_client_free(c);
	teardown(&r);
}

struct big {
	struct rig *rig;
	uint8_t fill;
};

static void *put_and_get_big(void *arg)
{
	struct big *big = arg;
	struct blob_client *c = client(big->rig);
	size_t size = 6 << 20;
	uint8_t *data = make(size, true), digest[DIGEST_SIZE];
	struct err e = {0};
	data[0] = big->fill;
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(blob_client_put(c, data, size, digest, &e), 0, "%s", e.what);
		struct buf out = {0};
		cr_assert_eq(blob_client_get_buf(c, digest, size, &out, &e), 0, "%s",
			     e.what);
		cr_assert_eq(memcmp(out.data, data, size), 0);
		buf_fini(&out);
	}
	free(data);
	blob_client_free(c);
	return NULL;
}

Test(blobs, more_large_ones_than_turns_all_get_theirs)
{
	enum { COUNT = 2 * BLOBS_LARGE + 3 };
	struct rig r;
	pthread_t threads[COUNT];
	struct big bigs[COUNT];
	setup(&r);
	for (uint8_t i = 0; i < COUNT; i++) {
		bigs[i] = (struct big){&r, i};
		pthread_create(&threads[i], NULL, put_and_get_big, &bigs[i]);
	}
	for (int i = 0; i < COUNT; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(count(&r).puts, 2 * COUNT);
	cr_assert_eq(count(&r).refused_messages, 0);
	teardown(&r);
}

static void *restart(void *arg)
{
	struct rig *r = arg;
	until(count(r).bytes_in > (30 << 20));
	blobs_stop(r->blobs);
	sleep_ms(100);
	start(r);
	return NULL;
}

Test(blobs, a_transfer_survives_a_restart_of_the_service)
{
	struct rig r;
	struct err e = {0};
	setup(&r);
	struct blob_client *c = client(&r);
	size_t size = 200 << 20;
	uint8_t *data = make(size, true), digest[DIGEST_SIZE];
	pthread_t thread;
	pthread_create(&thread, NULL, restart, &r);
	cr_assert_eq(blob_client_put(c, data, size, digest, &e), 0, "%s", e.what);
	pthread_join(thread, NULL);
	cr_assert_eq(cas_has(r.cas, digest, NULL), 0);
	free(data);
	blob_client_free(c);
	teardown(&r);
}

struct slow_sink {
	struct rig *rig;
	struct buf out;
	bool has_restarted;
};

static int restart_in_the_middle(void *arg, const void *data, size_t size)
{
	struct slow_sink *sink = arg;
	buf_add(&sink->out, data, size);
	if (sink->has_restarted || sink->out.size < 10 << 20)
		return 0;
	sink->has_restarted = true;
	blobs_stop(sink->rig->blobs);
	start(sink->rig);
	return 0;
}

Test(blobs, a_get_goes_on_where_it_was_after_a_restart)
{
	struct rig r;
	struct err e = {0};
	setup(&r);
	struct blob_client *c = client(&r);
	size_t size = 40 << 20;
	struct slow_sink sink = {.rig = &r};
	uint8_t *data = make(size, true), digest[DIGEST_SIZE];
	cr_assert_eq(blob_client_put(c, data, size, digest, &e), 0, "%s", e.what);
	cr_assert_eq(blob_client_get(c, digest, 0, 0, restart_in_the_middle, &sink, &e),
		     0, "%s", e.what);
	cr_assert_eq(sink.out.size, size);
	cr_assert_eq(memcmp(sink.out.data, data, size), 0);
	buf_fini(&sink.out);
	free(data);
	blob_client_free(c);
	teardown(&r);
}

Test(blobs, nobody_there_is_told_after_a_while)
{
	void *context = zmq_ctx_new();
	struct blob_client *c = NULL;
	struct blob_client_options o = {.zmq_context = context,
					.url = "ipc:///tmp/cashet-no-such-socket",
					.give_up_ns = NS_PER_S / 2};
	struct err e = {0};
	uint8_t digest[DIGEST_SIZE];
	cr_assert_eq(blob_client_new(&c, &o, &e), 0);
	cr_assert_eq(blob_client_put(c, "x", 1, digest, &e), ERR_UNREACHABLE);
	blob_client_free(c);
	zmq_ctx_term(context);
}

static int refuse_bytes(void *arg, const void *data, size_t size)
{
	(void)arg;
	(void)data;
	(void)size;
	return -ENOSPC;
}

Test(blobs, a_sink_that_fails_ends_its_transfer_only)
{
	struct rig r;
	struct err e = {0};
	setup(&r);
	struct blob_client *c = client(&r);
	size_t size = 10 << 20;
	uint8_t *data = make(size, true), digest[DIGEST_SIZE];
	cr_assert_eq(blob_client_put(c, data, size, digest, &e), 0, "%s", e.what);
	cr_assert_eq(blob_client_get(c, digest, 0, 0, refuse_bytes, NULL, &e),
		     ERR_FAILED);
	cr_assert(strstr(e.what, "No space"), "%s", e.what);
	struct buf out = {0};
	cr_assert_eq(blob_client_get_buf(c, digest, size, &out, &e), 0, "%s", e.what);
	until(count(&r).streams == 0);
	buf_fini(&out);
	free(data);
	blob_client_free(c);
	teardown(&r);
}

Test(blobs, a_corrupt_blob_is_not_found_and_can_be_put_again)
{
	struct rig r;
	struct err e = {0};
	strcpy(r.folder, "/tmp/cashet-blobs-XXXXXX");
	cr_assert(mkdtemp(r.folder));
	snprintf(r.url, sizeof r.url, "ipc://%s/b.sock", r.folder);
	r.context = zmq_ctx_new();
	cas_open_memory(&r.cas);
	start(&r);
	struct blob_client *c = client(&r);
	size_t size = 5 << 20;
	uint8_t *data = make(size, true), digest[DIGEST_SIZE];
	struct buf out = {0};
	cr_assert_eq(blob_client_put(c, data, size, digest, &e), 0, "%s", e.what);
	cas_memory_flip(r.cas, digest, 8 * (uint64_t)(size - 1));
	cr_assert_eq(blob_client_get_buf(c, digest, size, &out, &e), ERR_NOT_FOUND);
	cr_assert(strstr(e.what, "corrupt"), "%s", e.what);
	cr_assert_eq(out.size, 0);
	cr_assert_eq(blob_client_put(c, data, size, digest, &e), 0, "%s", e.what);
	cr_assert_eq(blob_client_get_buf(c, digest, size, &out, &e), 0, "%s", e.what);
	buf_fini(&out);
	free(data);
	blob_client_free(c);
	teardown(&r);
}

/* ---- a peer that does not keep the rules ---- */

static void *raw_socket(struct rig *r)
{
	void *socket = zmq_socket(r->context, ZMQ_DEALER);
	int linger = 0, wait_ms = 60000;
	zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
	zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
	cr_assert_eq(zmq_connect(socket, r->url), 0);
	return socket;
}

static void say(void *socket, Cashet__BlobMessage__Kind kind, uint64_t stream,
		uint64_t size, uint64_t offset, uint64_t credit, const char *payload)
{
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	m.kind = kind;
	m.stream = stream;
	m.size = size;
	m.offset = offset;
	m.credit = credit;
	cr_assert_eq(wire_send_blob(socket, NULL, 0, &m, payload,
				    payload ? strlen(payload) : 0, NULL),
		     0);
}

/* hear() - the kind of the next message, -1 after a minute of silence; of an error its code in *code. */
static int hear(void *socket, uint32_t *code)
{
	zmq_msg_t msg;
	zmq_msg_init(&msg);
	if (zmq_msg_recv(&msg, socket, 0) < 0)
		return -1;
	struct wire_arena arena;
	wire_arena_init(&arena);
	Cashet__BlobMessage *m =
		wire_unpack_blob(&arena, zmq_msg_data(&msg), zmq_msg_size(&msg));
	cr_assert_not_null(m);
	int kind = (int)m->kind;
	if (code && m->error)
		*code = m->error->code;
	int more = zmq_msg_more(&msg);
	zmq_msg_close(&msg);
	wire_arena_fini(&arena);
	while (more) {
		zmq_msg_init(&msg);
		zmq_msg_recv(&msg, socket, 0);
		more = zmq_msg_more(&msg);
		zmq_msg_close(&msg);
	}
	return kind;
}

static void say_hello(void *socket, uint32_t protocol)
{
	uint8_t instance[KEY_SIZE] = {1};
	Cashet__Hello hello = CASHET__HELLO__INIT;
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	hello.protocol = protocol;
	hello.instance = (ProtobufCBinaryData){KEY_SIZE, instance};
	m.kind = CASHET__BLOB_MESSAGE__KIND__HELLO;
	m.stream = 1;
	m.hello = &hello;
	wire_send_blob(socket, NULL, 0, &m, NULL, 0, NULL);
}

#define K(kind) CASHET__BLOB_MESSAGE__KIND__##kind

static void assert_error(void *socket, uint32_t want)
{
	uint32_t code = 99;
	cr_assert_eq(hear(socket, &code), K(ERROR));
	cr_assert_eq(code, want, "%u", code);
}

Test(blobs, who_does_not_say_hello_first_is_told_so)
{
	struct rig r;
	setup(&r);
	void *s = raw_socket(&r);
	say(s, K(PUT), 1, 10, 0, 0, NULL);
	assert_error(s, ERR_USAGE);
	say_hello(s, 99);
	assert_error(s, ERR_USAGE);
	say_hello(s, WIRE_PROTOCOL);
	cr_assert_eq(hear(s, NULL), K(WELCOME));
	zmq_close(s);
	teardown(&r);
}

Test(blobs, rules_that_are_broken_end_the_stream_and_are_counted)
{
	struct rig r;
	setup(&r);
	void *s = raw_socket(&r);
	say_hello(s, WIRE_PROTOCOL);
	cr_assert_eq(hear(s, NULL), K(WELCOME));
	say(s, K(PUT), 2, 4, 0, 0, NULL); /* more bytes than credit */
	say(s, K(DATA), 2, 0, 0, 0, "12345");
	assert_error(s, ERR_USAGE);
	say(s, K(PUT), 3, 100, 0, 0, NULL); /* out of order */
	say(s, K(DATA), 3, 0, 50, 0, "12345");
	assert_error(s, ERR_USAGE);
	say(s, K(PUT), 4, 100, 0, 0, NULL); /* ends too early */
	say(s, K(DATA), 4, 0, 0, 0, "12345");
	say(s, K(END), 4, 0, 0, 0, NULL);
	assert_error(s, ERR_USAGE);
	say(s, K(PUT), 5, 100, 0, 0, NULL); /* opened twice */
	say(s, K(PUT), 5, 100, 0, 0, NULL);
	assert_error(s, ERR_USAGE);
	say(s, K(PUT), 6, 100, 0, 0, NULL); /* credit for a put */
	say(s, K(CREDIT), 6, 0, 0, 10, NULL);
	assert_error(s, ERR_USAGE);
	uint64_t before = count(&r).refused_messages;
	say(s, K(GET), 7, 0, 0, 10, NULL); /* no digest */
	say(s, K(OK), 8, 0, 0, 0, NULL);   /* not for peers */
	say(s, 77, 8, 0, 0, 0, NULL);	   /* no such kind */
	say(s, K(DATA), 9, 0, 0, 0, NULL); /* no payload */
	zmq_send(s, "\xff\xff", 2, 0);	   /* no message */
	zmq_send(s, "", 0, 0);
	until(count(&r).refused_messages == before + 6);
	cr_assert_eq(before, 5);
	until(count(&r).streams == 0);
	/* And it can still do what is right. */
	say(s, K(PUT), 10, 5, 0, 0, NULL);
	say(s, K(DATA), 10, 0, 0, 0, "12345");
	say(s, K(END), 10, 0, 0, 0, NULL);
	cr_assert_eq(hear(s, NULL), K(OK));
	zmq_close(s);
	teardown(&r);
}

/* The PUT names our own file, as it is: or another one. DATA is without a payload. */
static void say_file(void *socket, uint64_t stream, int fd, bool is_wrong)
{
	struct stat st;
	Cashet__FileRef ref = CASHET__FILE_REF__INIT;
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	cr_assert_eq(fstat(fd, &st), 0);
	ref.pid = (uint64_t)getpid();
	ref.fd = (uint64_t)fd;
	ref.device = st.st_dev;
	ref.inode = st.st_ino + is_wrong;
	m.kind = K(PUT);
	m.stream = stream;
	m.size = 2 << 20;
	m.file = &ref;
	cr_assert_eq(wire_send_blob(socket, NULL, 0, &m, NULL, 0, NULL), 0);
	cr_assert_eq(hear(socket, NULL), K(CREDIT));
}

static void say_part(void *socket, uint64_t stream, uint64_t from, uint64_t size,
		     uint64_t stored)
{
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	m.kind = K(DATA);
	m.stream = stream;
	m.by_file = true;
	m.from = from;
	m.size = size;
	m.stored = stored;
	cr_assert_eq(wire_send_blob(socket, NULL, 0, &m, NULL, 0, NULL), 0);
}

Test(blobs, a_file_is_read_only_if_it_is_that_one_and_only_in_pieces)
{
	struct rig r;
	setup(&r);
	FILE *file = tmpfile();
	cr_assert(file);
	cr_assert_eq(ftruncate(fileno(file), 4 << 20), 0);
	int pipe_ends[2];
	cr_assert_eq(pipe(pipe_ends), 0);
	void *s = raw_socket(&r);
	say_hello(s, WIRE_PROTOCOL);
	cr_assert_eq(hear(s, NULL), K(WELCOME));
	say_file(s, 2, fileno(file), true); /* another file of that number */
	say_part(s, 2, 0, 1 << 20, 0);
	assert_error(s, ERR_USAGE);
	say_file(s, 3, pipe_ends[0], false); /* no file */
	say_part(s, 3, 0, 1 << 20, 0);
	assert_error(s, ERR_USAGE);
	say_file(s, 4, fileno(file), false); /* too large a piece */
	say_part(s, 4, 0, (1 << 20) + 1, 0);
	assert_error(s, ERR_USAGE);
	say_file(s, 5, fileno(file), false); /* a piece of nothing */
	say_part(s, 5, 0, 0, 0);
	assert_error(s, ERR_USAGE);
	cr_assert_eq(count(&r).refused_messages, 4);
	say_file(s, 6, fileno(file), false); /* behind the end */
	say_part(s, 6, UINT64_MAX - 1, 1 << 20, 0);
	assert_error(s, ERR_USAGE);
	say_file(s, 7, fileno(file), false); /* no frame */
	say_part(s, 7, 0, 1 << 20, 1000);
	say(s, K(END), 7, 0, 0, 0, NULL);
	assert_error(s, ERR_USAGE);
	until(count(&r).streams == 0);
	say_file(s, 8, fileno(file), false);
	say_part(s, 8, 0, 1 << 20, 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	fclose(file); /* the broker has it open on its own */
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	m.kind = K(DATA);
	m.stream = 8;
	m.offset = m.from = m.size = 1 << 20;
	m.by_file = true;
	cr_assert_eq(wire_send_blob(s, NULL, 0, &m, NULL, 0, NULL), 0);
	say(s, K(END), 8, 0, 0, 0, NULL);
	cr_assert_eq(hear(s, NULL), K(OK));
	zmq_close(s);
	teardown(&r);
}

Test(blobs, who_goes_on_breaking_rules_is_forgotten)
{
	struct rig r;
	setup(&r);
	void *s = raw_socket(&r);
	say_hello(s, WIRE_PROTOCOL);
	cr_assert_eq(hear(s, NULL), K(WELCOME));
	for (int i = 0; i < 150; i++)
		say(s, K(OK), 8, 0, 0, 0, NULL);
	until(count(&r).peers == 0);
	zmq_close(s);
	teardown(&r);
}

Test(blobs, a_peer_has_so_many_streams_and_no_more)
{
	struct rig r;
	setup(&r);
	void *s = raw_socket(&r);
	say_hello(s, WIRE_PROTOCOL);
	cr_assert_eq(hear(s, NULL), K(WELCOME));
	for (uint64_t i = 0; i < BLOBS_STREAMS; i++)
		say(s, K(PUT), 100 + i, 10, 0, 0, NULL);
	until(count(&r).streams == BLOBS_STREAMS);
	say(s, K(PUT), 999, 10, 0, 0, NULL);
	assert_error(s, ERR_UNREACHABLE);
	until(count(&r).streams == BLOBS_STREAMS);
	say(s, K(CANCEL), 100, 0, 0, 0, NULL);
	until(count(&r).streams == BLOBS_STREAMS - 1);
	say_hello(s, WIRE_PROTOCOL); /* starts over */
	until(count(&r).streams == 0);
	zmq_close(s);
	teardown(&r);
}

Test(blobs, a_nudge_tells_whether_a_stream_is_alive)
{
	struct rig r;
	setup(&r);
	void *s = raw_socket(&r);
	say_hello(s, WIRE_PROTOCOL);
	cr_assert_eq(hear(s, NULL), K(WELCOME));
	say(s, K(PUT), 2, 10, 0, 0, NULL);
	say(s, K(CREDIT), 2, 0, 0, 0, NULL);
	cr_assert_eq(hear(s, NULL), K(CREDIT));
	say(s, K(CREDIT), 3, 0, 0, 0, NULL);
	assert_error(s, ERR_UNREACHABLE);
	zmq_close(s);
	teardown(&r);
}

Test(blobs, a_peer_that_does_not_read_does_not_stop_the_others)
{
	struct rig r;
	struct err e = {0};
	setup(&r);
	struct blob_client *c = client(&r);
	size_t size = 64 << 20;
	uint8_t *data = make(size, true), digest[DIGEST_SIZE];
	cr_assert_eq(blob_client_put(c, data, size, digest, &e), 0, "%s", e.what);
	void *s = raw_socket(&r);
	say_hello(s, WIRE_PROTOCOL);
	for (uint64_t i = 0; i < 32; i++) {
		Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
		m.kind = K(GET);
		m.stream = 10 + i;
		m.credit = 1ull << 40; /* as much as it likes */
		m.digest = (ProtobufCBinaryData){DIGEST_SIZE, digest};
		cr_assert_eq(wire_send_blob(s, NULL, 0, &m, NULL, 0, NULL), 0);
	}
	struct buf out = {0};
	for (int i = 0; i < 2; i++) {
		buf_reset(&out);
		cr_assert_eq(blob_client_get_buf(c, digest, size, &out, &e), 0, "%s",
			     e.what);
		cr_assert_eq(memcmp(out.data, data, size), 0);
	}
	buf_fini(&out);
	free(data);
	zmq_close(s);
	blob_client_free(c);
	teardown(&r);
}

Test(blobs, an_address_in_use_is_an_error)
{
	struct rig r;
	setup(&r);
	char bad[160];
	snprintf(bad, sizeof bad, "ipc://%s/no/such/folder", r.folder);
	struct blobs_endpoint two[] = {{.url = "tcp://127.0.0.1:*"}, {.url = bad}};
	struct blobs_options o = {.zmq_context = r.context,
				  .cas = r.cas,
				  .endpoints = two,
				  .endpoint_count = 2};
	struct blobs *b = NULL;
	struct err e = {0};
	cr_assert_eq(blobs_start(&b, &o, &e), ERR_FAILED);
	cr_assert(strstr(e.what, "no/such/folder"), "%s", e.what);
	o.endpoint_count = 1;
	cr_assert_eq(blobs_start(&b, &o, &e), 0, "%s", e.what);
	cr_assert(strncmp(blobs_url(b, 0), "tcp://127.0.0.1:", 16) == 0);
	blobs_stop(b);
	teardown(&r);
}
