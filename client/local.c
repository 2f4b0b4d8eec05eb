/* local.c - see local.h: the one place where the client meets the reading half of a broker.
 *
 * Nothing here takes the store's lock, so a broker may start at any moment. What is read is a
 * snapshot of files that nobody wrote to: before each question it is checked that the lock is free
 * and that the files are those that were opened, and after it again. If a broker has come, its
 * answer counts; if one has come and gone, the store is opened anew. Blobs need no such care: they
 * never change, and are verified against their names. */
#include "client/local.h"

#include "broker/history/history.h"
#include "client/private_broker.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TRIES 8 /* at a store that brokers come to and leave */

struct sign { /* what changes when somebody has written */
	ino_t inode;
	off_t size, wal_size;
	struct timespec changed, wal_changed;
};

struct local {
	struct history *history;
	struct sign sign;
	struct buf answer;
};

static void look(const char *dir, struct sign *sign)
{
	char *path = NULL;
	struct stat st;
	memset(sign, 0, sizeof *sign); /* padding too: signs are compared bytewise */
	if (asprintf(&path, "%s/meta.db-wal", dir) < 0)
		return;
	if (stat(path, &st) == 0) {
		sign->wal_size = st.st_size;
		sign->wal_changed = st.st_mtim;
	}
	path[strlen(path) - strlen("-wal")] = '\0';
	if (stat(path, &st) == 0) {
		sign->inode = st.st_ino;
		sign->size = st.st_size;
		sign->changed = st.st_mtim;
	}
	free(path);
}

bool local_may(const struct cashet *c)
{
	return c->where.dir && !c->transport && !private_broker_serves(c->where.dir);
}

bool local_answers(Cashet__Envelope__BodyCase question)
{
	return history_answers(question);
}

void local_close(struct cashet *c)
{
	if (!c->local)
		return;
	history_close(c->local->history);
	buf_fini(&c->local->answer);
	free(steal(c->local));
}

static int no_store(const struct cashet *c, struct err *e, int error)
{
	err_set(e, ERR_NOT_FOUND, "there is no store at %s: %s", c->where.dir,
		strerror(error));
	err_next(e, "submit something first, or say where it is: --store DIR or "
		    "--broker URL");
	return ERR_NOT_FOUND;
}

static int open_anew(struct cashet *c, struct err *e)
{
	struct stat st;
	char *path = NULL;
	local_close(c);
	if (asprintf(&path, "%s/meta.db", c->where.dir) < 0)
		return handle_no_memory(e);
	int missing = stat(path, &st) < 0 ? errno : 0;
	free(path);
	bool none = missing == ENOENT || missing == ENOTDIR;
	if (none && !c->may_be_missing)
		return no_store(c, e, missing);
	struct local *l = calloc(1, sizeof *l);
	if (!l)
		return handle_no_memory(e);
	log_threshold =
		LOG_NONE; /* we are a guest in this process: errors are returned */
	look(c->where.dir, &l->sign);
	int r = 0;
	if (none)
		l->history = history_open(NULL, NULL);
	else
		r = history_open_dir(&l->history, c->where.dir, e);
	if (r) {
		free(l);
		return private_broker_serves(c->where.dir) ? LOCAL_SERVED : r;
	}
	c->local = l;
	return 0;
}

static bool is_current(const struct cashet *c)
{
	struct sign now;
	look(c->where.dir, &now);
	return memcmp(&now, &c->local->sign, sizeof now) == 0;
}

int local_open(struct cashet *c, struct err *e)
{
	return c->local && is_current(c) ? 0 : open_anew(c, e);
}

/* The answer, once, unless what was read is no snapshot. */
static int answer(struct cashet *c, struct request *r, const Cashet__Envelope *question,
		  struct err *e)
{
	for (int tries = 0; tries < TRIES; tries++) {
		if (c->interrupted && c->interrupted(c->interrupted_arg))
			return err_set(e, ERR_DETACHED, "interrupted");
		int rc = local_open(c, e);
		if (rc)
			return rc;
		history_answer(c->local->history, question, NULL, &c->local->answer);
		if (private_broker_serves(c->where.dir))
			return LOCAL_SERVED;
		if (is_current(c))
			break;
	}
	wire_arena_reset(r->arena);
	r->reply = wire_unpack(r->arena, c->local->answer.data, c->local->answer.size);
	if (!r->reply)
		return handle_no_memory(e);
	r->done = true;
	return 0;
}

int local_answer(struct cashet *c, struct request *r, struct err *e)
{
	struct wire_arena asked;
	wire_arena_init(&asked);
	const Cashet__Envelope *question =
		wire_unpack(&asked, r->packed.data, r->packed.size);
	if (!r->arena) {
		r->arena = calloc(1, sizeof *r->arena);
		if (r->arena)
			wire_arena_init(r->arena);
	}
	int rc = question && r->arena ? answer(c, r, question, e) : handle_no_memory(e);
	wire_arena_fini(&asked);
	if (rc == LOCAL_SERVED) { /* the broker's reply comes with an arena of its own */
		handle_arena_free(steal(r->arena));
		local_close(c);
	}
	return rc;
}

/* ---- blobs ---- */

struct outlet {
	struct cashet *c;
	cashet_sink sink;
	void *arg;
	bool began, interrupted;
};

static int pass(void *arg, const void *data, size_t size)
{
	struct outlet *o = arg;
	o->began = true;
	if (o->c->interrupted && o->c->interrupted(o->c->interrupted_arg)) {
		o->interrupted = true;
		return -EINTR;
	}
	return o->sink(o->arg, data, size);
}

int local_blob(struct cashet *c, const uint8_t digest[DIGEST_SIZE], uint64_t offset,
	       cashet_sink sink, void *arg, struct err *e)
{
	struct outlet o = {.c = c, .sink = sink, .arg = arg};
	int rc = local_open(c, e);
	if (rc == 0)
		rc = history_blob(c->local->history, digest, offset, 0, pass, &o, e);
	if (o.interrupted)
		return err_set(e, ERR_DETACHED, "interrupted");
	if (rc && !o.began && private_broker_serves(c->where.dir))
		rc = LOCAL_SERVED;
	if (rc == LOCAL_SERVED)
		local_close(c);
	return rc;
}

/* ---- files of the store, also beside a broker: they never change, and are verified ---- */

#define CHUNK (1u << 20)

struct objects {
	struct cas *cas; /* NULL: there are none to read */
	uint8_t *stored;
};

/* The folder of the store: ours, or what a broker on this machine tells. Whether it is the right one needs
 * no asking: blobs are what their names say, wherever they are found. */
static const char *folder_of(const struct cashet *c)
{
	if (c->where.dir || !c->welcome.known || !*c->welcome.store_path)
		return c->where.dir;
	return c->welcome.store_path;
}

static struct objects *objects_of(struct cashet *c)
{
	const char *folder = folder_of(c);
	if (c->objects || !folder)
		return c->objects;
	struct objects *o = c->objects = calloc(1, sizeof *o);
	if (!o)
		return NULL;
	o->stored = malloc(CHUNK);
	log_threshold = LOG_NONE;
	if (!o->stored || cas_open_dir_reading(&o->cas, folder, NULL))
		o->cas = NULL;
	return o;
}

static int unreadable(struct err *e, int64_t rc)
{
	return err_set(e, ERR_FAILED, "a file of the store cannot be read: %s",
		       strerror((int)-rc));
}

struct tap {
	struct outlet outlet;
	int failed; /* what the sink said */
};

static int pass_chunk(void *arg, const struct local_chunk *chunk)
{
	struct tap *t = arg;
	t->failed = pass(&t->outlet, chunk->data, chunk->size);
	return t->failed ? ERR_FAILED : 0;
}

int local_file(struct cashet *c, const uint8_t digest[DIGEST_SIZE], cashet_sink sink,
	       void *arg, struct err *e)
{
	struct tap t = {.outlet = {.c = c, .sink = sink, .arg = arg}};
	int rc = local_object(c, digest, pass_chunk, &t, e);
	if (t.outlet.interrupted)
		return err_set(e, ERR_DETACHED, "interrupted");
	if (t.failed)
		return err_set(e, ERR_FAILED, "cannot keep what was downloaded: %s",
			       strerror(-t.failed));
	return rc == LOCAL_CORRUPT && !t.outlet.began ? LOCAL_SERVED : rc;
}

int local_object(struct cashet *c, const uint8_t digest[DIGEST_SIZE], local_chunk_fn *fn,
		 void *arg, struct err *e)
{
	struct objects *o = objects_of(c);
	struct cas_get *get;
	if (!o || !o->cas)
		return LOCAL_SERVED;
	int rc = cas_get_open(o->cas, digest, &get, NULL);
	if (rc)
		return rc == CAS_E_CORRUPT ? LOCAL_CORRUPT : LOCAL_SERVED;
	int64_t n = 0, stored;
	struct local_chunk chunk = {.from = get};
	while (!rc && (n = cas_get_next(get, &chunk.data, CHUNK)) > 0) {
		bool raw;
		stored = cas_get_stored(get, o->stored, CHUNK, &raw);
		chunk.size = (size_t)n;
		chunk.stored = raw ? chunk.data : stored ? o->stored : NULL;
		chunk.stored_size = raw ? (size_t)n : (size_t)stored;
		rc = stored < 0 ? unreadable(e, stored) : fn(arg, &chunk);
	}
	cas_get_close(get);
	if (rc || n == 0)
		return rc;
	return n == -EBADMSG ? LOCAL_CORRUPT : unreadable(e, n);
}

bool local_take(const struct local_chunk *chunk, struct direct_piece *piece)
{
	return chunk->from && cas_get_hand_over(chunk->from, piece);
}

void local_place(const struct local_chunk *chunk, uint64_t at, unsigned gap)
{
	if (chunk->from)
		cas_get_place(chunk->from, at, gap);
}

void local_fini(struct cashet *c)
{
	struct objects *o = steal(c->objects);
	local_close(c);
	if (!o)
		return;
	cas_free(o->cas);
	free(o->stored);
	free(o);
}
