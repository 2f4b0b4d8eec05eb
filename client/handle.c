/* handle.c - opening and closing a handle: where the broker is, who we are, what is ours. */
#include "client/handle.h"

#include "client/local.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/rand.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define KEEP_UP_NS (500 * NS_PER_MS)

/* Drawn once per process: on ipc it is who we are, so that a repeated request is the same
 * request. A child after fork() is another client. */
static void process_instance(uint8_t out[KEY_SIZE])
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static uint8_t instance[KEY_SIZE];
	static pid_t owner;
	pthread_mutex_lock(&lock);
	if (owner != getpid()) {
		rand_bytes(instance, sizeof instance);
		owner = getpid();
	}
	memcpy(out, instance, KEY_SIZE);
	pthread_mutex_unlock(&lock);
}

int handle_no_memory(struct err *e)
{
	return err_set(e, ERR_FAILED, "out of memory");
}

static bool said(const char *variable)
{
	const char *value = getenv(variable);
	return value && *value && strcmp(value, "0") != 0;
}

/* Keys of both sides, or it was said that there are to be none: then plain, which only a broker that
 * runs --insecure takes. */
static int load_keys(struct cashet *c, const struct cashet_options *options,
		     struct err *e)
{
	if (options->insecure || said("CASHET_INSECURE"))
		return 0;
	const char *host_port = c->where.url + strlen("tcp://");
	struct err own = {0}, theirs = {0};
	int r = key_load(options->key_file, "me", &c->self, &own);
	bool asked = options->key_file || said("CASHET_KEY");
	if (r && (asked || r != ERR_NOT_FOUND)) {
		*e = own;
		return r;
	}
	int q = key_find_broker(host_port, c->server, &theirs);
	if (q && q != ERR_NOT_FOUND) {
		*e = theirs;
		return q;
	}
	c->secured = !r && !q;
	if (r == 0 && q) {
		err_set(e, ERR_NOT_ALLOWED, "no key of the broker at %s is trusted here",
			host_port);
		err_next(
			e,
			"cashet key trust PUBKEY --role broker --name %s  "
			"(cashet-broker prints its "
			"PUBKEY when it starts), or --insecure (CASHET_INSECURE=1) for a "
			"broker that runs --insecure, on a network that you trust",
			host_port);
		return ERR_NOT_ALLOWED;
	}
	if (r) {
		err_set(e, ERR_NOT_ALLOWED,
			"tcp://%s needs keys, and there is none of ours", host_port);
		err_next(e, "cashet key new me, then on the broker's machine: cashet key "
			    "trust PUBKEY --role client; or --insecure "
			    "(CASHET_INSECURE=1) for a broker that runs --insecure, on a "
			    "network that you trust");
		return ERR_NOT_ALLOWED;
	}
	return 0;
}

static int open_into(struct cashet *c, const struct cashet_options *options,
		     struct err *e)
{
	int r = where_resolve(&c->where, options->broker, options->store, e);
	if (r)
		return r;
	if (c->where.url && endpoint_is_tcp(c->where.url)) {
		r = load_keys(c, options, e);
		if (r)
			return r;
	}
	c->name = strdup(options->name ? options->name : "libcashet");
	c->arena = calloc(1, sizeof *c->arena);
	if (!c->name || !c->arena)
		return handle_no_memory(e);
	wire_arena_init(c->arena);
	return 0;
}

int handle_open(struct cashet **cp, const struct cashet_options *options, struct err *e)
{
	static const struct cashet_options none;
	if (!options)
		options = &none;
	struct cashet *c = calloc(1, sizeof *c);
	if (!c)
		return handle_no_memory(e);
	list_init(&c->requests);
	c->must_exist = options->must_exist;
	c->connect_ns = options->connect_ns ? options->connect_ns : HANDLE_CONNECT_NS;
	c->interrupted = options->interrupted;
	c->interrupted_arg = options->interrupted_arg;
	process_instance(c->instance);
	int r = open_into(c, options, e);
	if (r) {
		handle_close(c);
		return r;
	}
	*cp = c;
	return 0;
}

void handle_close(struct cashet *c)
{
	if (!c)
		return;
	submission_free(c->submission);
	watch_free(c->watch);
	request_free(c->lent);
	assert(list_empty(
		&c->requests)); /* cashet_results are closed before their handle */
	blob_client_free(c->blobs);
	local_fini(c);
	if (c->transport)
		c->transport->kind->close(c->transport);
	if (c->zmq)
		zmq_ctx_term(c->zmq);
	handle_arena_free(c->arena);
	free(c->blobs_url);
	free(c->welcome.blob_path);
	free(c->welcome.store_path);
	free(c->welcome.version);
	free(c->url);
	free(c->name);
	where_fini(&c->where);
	free(c);
}

const uint8_t *handle_identity(const struct cashet *c)
{
	return c->secured ? c->self.public : c->instance;
}

uint64_t handle_serial(struct cashet *c)
{
	return ++c->serial;
}

void handle_arena_free(struct wire_arena *arena)
{
	if (!arena)
		return;
	wire_arena_fini(arena);
	free(arena);
}

struct wire_arena *handle_take_arena(struct cashet *c)
{
	struct wire_arena *fresh = calloc(1, sizeof *fresh);
	if (!fresh)
		return NULL;
	wire_arena_init(fresh);
	struct wire_arena *taken = c->arena;
	c->arena = fresh;
	return taken;
}

int handle_zmq(struct cashet *c, struct err *e)
{
	if (c->zmq)
		return 0;
	c->zmq = zmq_ctx_new();
	if (!c->zmq)
		return err_set(e, ERR_FAILED, "ZeroMQ cannot be used: %s",
			       zmq_strerror(errno));
	zmq_ctx_set(c->zmq, ZMQ_IO_THREADS, 1);
	zmq_ctx_set(c->zmq, ZMQ_BLOCKY, 0);
	return 0;
}

/* Asked while blobs move, which may take minutes: the session is kept up meanwhile, or the broker
 * would think that nobody is there to seal what was submitted so far. */
static bool blobs_cancelled(void *arg)
{
	struct cashet *c = arg;
	uint64_t now = clock_mono_ns();
	if (now < c->kept_up_ns + KEEP_UP_NS)
		return c->interrupted && c->interrupted(c->interrupted_arg);
	c->kept_up_ns = now;
	/* What else goes wrong is found by whoever waits next. */
	return handle_pump(c, now, TIME_NEVER, NULL) == ERR_DETACHED;
}

int handle_blobs(struct cashet *c, struct blob_client **blobsp, struct err *e)
{
	int r = handle_greeted(c, e);
	if (!r)
		r = handle_zmq(c, e);
	if (r)
		return r;
	char *url = endpoint_blob_url(c->url, c->welcome.blob_port, c->welcome.blob_path);
	if (!url)
		return handle_no_memory(e);
	if (c->blobs && strcmp(url, c->blobs_url) == 0) {
		free(url);
		*blobsp = c->blobs;
		return 0;
	}
	blob_client_free(steal(c->blobs)); /* of a broker that lived elsewhere */
	free(c->blobs_url);
	c->blobs_url = url;
	struct blob_client_options options = {
		.zmq_context = c->zmq,
		.url = url,
		.self = c->secured ? &c->self : NULL,
		.server = c->secured ? c->server : NULL,
		.instance = c->instance,
		.name = c->name,
		.cancelled = blobs_cancelled,
		.cancelled_arg = c,
	};
	r = blob_client_new(&c->blobs, &options, e);
	if (r == 0)
		*blobsp = c->blobs;
	return r;
}

int error_give(struct cashet_error *out, const struct err *e, int code)
{
	if (!out)
		return code;
	out->code = code;
	out->what[0] = out->next[0] = '\0';
	if (code) {
		_Static_assert(sizeof out->what == sizeof e->what,
			       "texts are copied whole");
		_Static_assert(sizeof out->next == sizeof e->next,
			       "texts are copied whole");
		memcpy(out->what, e->what, strlen(e->what) + 1);
		memcpy(out->next, e->next, strlen(e->next) + 1);
	}
	return code;
}

int batch_ref_parse(const char *text, Cashet__BatchRef *ref, uint8_t bytes[DIGEST_SIZE],
		    struct err *e)
{
	size_t size = text ? strlen(text) : 0;
	memset(bytes, 0, DIGEST_SIZE);
	for (size_t i = 0; i < size; i++) {
		char ch = text[i] | 0x20;
		int nibble = ch >= '0' && ch <= '9'   ? ch - '0'
			     : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
						      : -1;
		if (text[i] < '0' || nibble < 0 || i >= 2 * DIGEST_SIZE) {
			bool is_task = strchr(text, ':');
			err_set(e, ERR_USAGE,
				is_task ? "\"%s\" names a task, and no batch"
					: "\"%s\" is not a hash: up to 64 of 0-9 a-f",
				text);
			err_next(e, is_task ? "without a batch the newest one is meant; "
					      "cashet ps --all lists them"
					    : "cashet ps --all lists batches");
			return ERR_USAGE;
		}
		bytes[i / 2] |= (uint8_t)(i % 2 ? nibble : nibble << 4);
	}
	if (size && size < 4) {
		err_set(e, ERR_USAGE,
			"\"%s\" is too short: give 4 digits or more of a hash", text);
		return ERR_USAGE;
	}
	ref->prefix = (ProtobufCBinaryData){.data = bytes, .len = (size + 1) / 2};
	ref->odd = size % 2;
	return 0;
}

void counts_from(struct cashet_counts *out, const Cashet__Counts *in)
{
	if (!in) {
		*out = (struct cashet_counts){0};
		return;
	}
	*out = (struct cashet_counts){
		.total = in->total,
		.waiting = in->waiting,
		.ready = in->ready,
		.running = in->running,
		.cached = in->cached,
		.executed = in->executed,
		.deduplicated = in->deduplicated,
		.failed = in->failed,
		.skipped = in->skipped,
		.cancelled = in->cancelled,
	};
}

/* Beside the private broker's files, or in the user's cache: digests of files by their stat. */
/* Our folder among the caches of this user, made when it is needed first. */
static char *cache_file(const char *base, const char *below)
{
	char *path = NULL;
	if (asprintf(&path, "%s%s/cashet", base, below) < 0)
		return NULL;
	(void)fs_mkdir_p(path,
			 0700); /* without it nothing is remembered, and that is all */
	char *file = NULL;
	int r = asprintf(&file, "%s/files.memo", path);
	free(path);
	return r < 0 ? NULL : file;
}

char *handle_memo_path(const struct cashet *c)
{
	char *path = NULL;
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (c->where.dir)
		return asprintf(&path, "%s/run/files.memo", c->where.dir) < 0 ? NULL
									      : path;
	if (cache && *cache)
		return cache_file(cache, "");
	return home && *home ? cache_file(home, "/.cache") : NULL;
}
