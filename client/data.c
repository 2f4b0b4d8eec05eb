/* data.c - bytes in and out of the store: blobs, folders, logs. */
#include "client/handle.h"

#include "client/local.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE_MAX (256u << 20) /* bytes of the list of a folder's files */
#define LOG_PIECE (256u << 10)
#define LOG_PAUSE_NS (150 * NS_PER_MS) /* between looks at a log that does not grow */

/* A small blob comes over the control socket, which is there already. Return: as handle_get_blob();
 * IS_LARGE. */
#define IS_LARGE -1
static int get_small(struct cashet *c, const uint8_t digest[DIGEST_SIZE],
		     cashet_sink sink, void *arg, struct err *e)
{
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__BlobQuery query = CASHET__BLOB_QUERY__INIT;
	uint8_t real[DIGEST_SIZE];
	struct request *r;
	query.digest = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)digest};
	envelope.body_case = CASHET__ENVELOPE__BODY_BLOB_QUERY;
	envelope.blob_query = &query;
	int rc = request_ask(c, &envelope, CASHET__ENVELOPE__BODY_BLOB_REPLY, &r, e);
	if (rc)
		return rc;
	const Cashet__BlobReply *reply = r->reply->blob_reply;
	if (reply->is_large) {
		request_free(r);
		return IS_LARGE;
	}
	sha256_digest(reply->data.data, reply->data.len, real);
	if (memcmp(real, digest, DIGEST_SIZE) != 0)
		rc = err_set(e, ERR_FAILED,
			     "the bytes that the broker sent are not those of the digest "
			     "that was asked for");
	int failed =
		rc || !reply->data.len ? 0 : sink(arg, reply->data.data, reply->data.len);
	request_free(r);
	if (failed)
		return err_set(e, ERR_FAILED, "cannot keep what was downloaded: %s",
			       strerror(-failed));
	return rc;
}

static int drop(void *arg, const void *data, size_t size)
{
	(void)arg, (void)data, (void)size;
	return 0;
}

/* A large one is read from the store's own file, if that is on this machine. One that is corrupt is
 * asked for: only the broker can put it aside. */
static int get_file(struct cashet *c, const uint8_t digest[DIGEST_SIZE], cashet_sink sink,
		    void *arg, struct err *e)
{
	struct blob_client *blobs;
	int rc = local_file(c, digest, sink, arg, e);
	if (rc != LOCAL_CORRUPT)
		return rc;
	rc = handle_blobs(c, &blobs, e);
	if (!rc)
		rc = blob_client_get(blobs, digest, 0, 0, drop, NULL, e);
	return rc ? rc : err_set(e, ERR_FAILED, "a file of the store changed meanwhile");
}

int handle_get_blob(struct cashet *c, const uint8_t digest[DIGEST_SIZE], uint64_t offset,
		    cashet_sink sink, void *arg, struct err *e)
{
	struct blob_client *blobs;
	int r = local_may(c) ? local_blob(c, digest, offset, sink, arg, e) : LOCAL_SERVED;
	if (r != LOCAL_SERVED)
		return r;
	r = !c->blobs && !offset ? get_small(c, digest, sink, arg, e) : IS_LARGE;
	if (r != IS_LARGE)
		return r;
	r = offset ? LOCAL_SERVED : get_file(c, digest, sink, arg, e);
	if (r != LOCAL_SERVED)
		return r;
	r = handle_blobs(c, &blobs, e);
	return r ? r : blob_client_get(blobs, digest, offset, 0, sink, arg, e);
}

int cashet_get_blob(struct cashet *c, const uint8_t digest[32], cashet_sink sink,
		    void *arg, struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, handle_get_blob(c, digest, 0, sink, arg, &e));
}

static int write_to_fd(void *arg, const void *data, size_t size)
{
	return fs_write_all(*(int *)arg, data, size);
}

int cashet_get_blob_fd(struct cashet *c, const uint8_t digest[32], int fd,
		       struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, handle_get_blob(c, digest, 0, write_to_fd, &fd, &e));
}

struct memory {
	struct buf bytes;
	size_t max;
};

static int write_to_memory(void *arg, const void *data, size_t size)
{
	struct memory *m = arg;
	if (size > m->max - m->bytes.size)
		return -EFBIG;
	buf_add(&m->bytes, data, size);
	return m->bytes.failed ? -ENOMEM : 0;
}

static int get_memory(struct cashet *c, const uint8_t digest[DIGEST_SIZE],
		      struct memory *m, struct err *e)
{
	int r = handle_get_blob(c, digest, 0, write_to_memory, m, e);
	if (r || buf_reserve(&m->bytes, 0))
		return r;
	return handle_no_memory(e);
}

int cashet_get_blob_memory(struct cashet *c, const uint8_t digest[32], size_t max,
			   void **datap, size_t *sizep, struct cashet_error *error)
{
	struct err e;
	struct memory m = {.max = max};
	int r = get_memory(c, digest, &m, &e);
	if (r == 0)
		*datap = buf_steal(&m.bytes, sizep);
	buf_fini(&m.bytes);
	return error_give(error, &e, r);
}

/* ---- folders ---- */

/* Paths are checked by the decoder: inside, no links, no file that is another's folder. @path is
 * a folder that was new, so nothing on the way can be a link of somebody else's. */
static int get_entry(struct cashet *c, const char *path,
		     const struct content_entry *entry, struct err *e)
{
	char *full = NULL;
	if (asprintf(&full, "%s/%s", path, entry->path) < 0)
		return handle_no_memory(e);
	int r = 0, made, fd = -1;
	char *slash = strrchr(full, '/');
	if (entry->content.type != CONTENT_DIR)
		*slash = '\0';
	made = fs_mkdir_p(full, 0777);
	if (entry->content.type != CONTENT_DIR)
		*slash = '/';
	if (made == 0 && entry->content.type != CONTENT_DIR) {
		fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			  entry->content.type == CONTENT_EXEC ? 0777 : 0666);
		made = fd < 0 ? -errno : 0;
	}
	if (made)
		r = err_set(e, ERR_FAILED, "%s cannot be made: %s", full,
			    strerror(-made));
	else if (fd >= 0)
		r = handle_get_blob(c, entry->content.digest, 0, write_to_fd, &fd, e);
	if (fd >= 0 && close(fd) < 0 && r == 0)
		r = err_set(e, ERR_FAILED, "%s cannot be written: %s", full,
			    strerror(errno));
	free(full);
	return r;
}

static int get_tree(struct cashet *c, const uint8_t digest[DIGEST_SIZE], const char *path,
		    struct err *e)
{
	struct memory m = {.max = TREE_MAX};
	struct content_entries entries = {0};
	int r = get_memory(c, digest, &m, e);
	if (r == 0 && content_decode_tree(m.bytes.data, m.bytes.size, &entries))
		r = err_set(e, ERR_FAILED,
			    "the blob is not the list of a folder's files");
	if (r == 0 && mkdir(path, 0777) < 0) {
		r = err_set(e, ERR_FAILED, "%s cannot be made: %s", path,
			    strerror(errno));
		if (errno == EEXIST)
			err_next(e, "name a folder that does not exist yet");
	}
	for (size_t i = 0; r == 0 && i < entries.count; i++)
		r = get_entry(c, path, &entries.items[i], e);
	content_entries_fini(&entries);
	buf_fini(&m.bytes);
	return r;
}

int cashet_get_tree(struct cashet *c, const uint8_t digest[32], const char *path,
		    struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, get_tree(c, digest, path, &e));
}

/* ---- putting ---- */

static int put_file(struct cashet *c, const char *path, uint8_t digest[DIGEST_SIZE],
		    struct err *e)
{
	struct blob_client *blobs;
	struct stat st;
	int r = handle_blobs(c, &blobs, e);
	if (r)
		return r;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		r = err_set(e, ERR_USAGE, "%s cannot be read: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		r = err_set(e, ERR_USAGE, "%s is not a regular file", path);
	else
		r = blob_client_put_fd(blobs, fd, 0, (uint64_t)st.st_size, NULL, digest,
				       e);
	if (fd >= 0)
		close(fd);
	return r;
}

int cashet_put_file(struct cashet *c, const char *path, uint8_t digest[32],
		    struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, put_file(c, path, digest, &e));
}

static int put(struct cashet *c, const void *data, size_t size,
	       uint8_t digest[DIGEST_SIZE], struct err *e)
{
	struct blob_client *blobs;
	int r = handle_blobs(c, &blobs, e);
	return r ? r : blob_client_put(blobs, data, size, digest, e);
}

int cashet_put(struct cashet *c, const void *data, size_t size, uint8_t digest[32],
	       struct cashet_error *error)
{
	struct err e;
	return error_give(error, &e, put(c, data, size, digest, &e));
}

/* ---- logs ---- */

static int ask_log(struct cashet *c, Cashet__BatchRef *ref, uint32_t index,
		   bool is_stderr, uint64_t offset, struct request **rp, struct err *e)
{
	Cashet__LogRead read = CASHET__LOG_READ__INIT;
	read.batch = ref;
	read.index = index;
	read.is_stderr = is_stderr;
	read.offset = offset;
	read.max = LOG_PIECE;
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	envelope.body_case = CASHET__ENVELOPE__BODY_LOG_READ;
	envelope.log_read = &read;
	return request_ask(c, &envelope, CASHET__ENVELOPE__BODY_LOG_DATA, rp, e);
}

static int give_log(const Cashet__LogData *log, cashet_sink sink, void *arg,
		    struct err *e)
{
	int r = log->data.len ? sink(arg, log->data.data, log->data.len) : 0;
	return r ? err_set(e, ERR_FAILED, "the log cannot be written: %s", strerror(-r))
		 : 0;
}

/* The task has ended and its log is a blob. It was trimmed in the middle if it was large: who
 * follows has seen that part, and what is behind it is at the same distance from the end. */
static int give_blob(struct cashet *c, const Cashet__LogData *log, uint64_t offset,
		     cashet_sink sink, void *arg, struct err *e)
{
	if (!wire_is(&log->digest, DIGEST_SIZE) || log->size <= offset)
		return 0;
	return handle_get_blob(c, log->digest.data, offset, sink, arg, e);
}

static int pause_pumping(struct cashet *c, struct err *e)
{
	uint64_t until = clock_mono_ns() + LOG_PAUSE_NS;
	int r = 0;
	while (r == 0 && clock_mono_ns() < until)
		r = handle_pump(c, until, c->connect_ns, e);
	return r;
}

/* There is no log of the task. @note: what the broker says of that. */
static int no_log(struct cashet *c, const char *batch, uint32_t index, const char *note,
		  bool running, struct err *e)
{
	struct cashet_results *results;
	const struct cashet_result *r;
	if (running) {
		err_set(e, ERR_NOT_FOUND, "there is no log of task %u yet: %s", index,
			note);
		err_next(e, "cashet logs -f waits for it");
		return ERR_NOT_FOUND;
	}
	err_set(e, ERR_NOT_FOUND, "%s", note);
	if (cashet_result_one(c, batch, index, &results, &r, NULL))
		return ERR_NOT_FOUND;
	const char *name = cashet_results_batch(results)->batch;
	if (r->status == CASHET_SKIPPED) {
		err_set(e, ERR_NOT_FOUND,
			"task %.8s:%u was skipped, so it wrote nothing: %s", name, index,
			r->error);
		err_next(e, "cashet logs %.8s:%u", name, r->upstream);
	} else if (r->status == CASHET_CANCELLED && r->attempts) {
		err_set(e, ERR_NOT_FOUND,
			"task %.8s:%u was cancelled in or after attempt %u, and what was "
			"written is only kept of an attempt that ends its task",
			name, index, r->attempts);
		err_next(e, "cashet logs -f shows it while a task runs");
	} else if (r->status == CASHET_CANCELLED) {
		err_set(e, ERR_NOT_FOUND,
			"task %.8s:%u was cancelled before it wrote anything", name,
			index);
	}
	cashet_results_close(results);
	return ERR_NOT_FOUND;
}

static int read_log(struct cashet *c, const char *batch, uint32_t index,
		    const struct cashet_log_options *options, cashet_sink sink, void *arg,
		    struct err *e)
{
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	uint8_t bytes[DIGEST_SIZE];
	uint64_t offset = options->offset, epoch = 0;
	int r = batch_ref_parse(batch, &ref, bytes, e);
	while (r == 0) {
		struct request *request;
		r = ask_log(c, &ref, index, options->is_stderr, offset, &request, e);
		if (r)
			break;
		const Cashet__LogData *log = request->reply->log_data;
		size_t got = log->data.len;
		bool more = false, again = epoch && log->epoch && log->epoch != epoch;
		if (again)
			offset = 0; /* another attempt began: its log does too */
		else if (log->is_blob)
			r = give_blob(c, log, offset, sink, arg, e);
		else
			r = give_log(log, sink, arg, e);
		if (!again && !log->is_blob) {
			offset += got;
			/* In a store that nobody serves it does not grow. */
			more = got ||
			       (log->running && options->follow && !request->local);
		}
		if (r == 0 && !more && !again && !log->is_blob && offset == 0 &&
		    *log->note)
			r = no_log(c, batch, index, log->note, log->running, e);
		epoch = log->epoch ? log->epoch : epoch;
		request_free(request);
		if (r || (!more && !again))
			break;
		if (!got)
			r = pause_pumping(c, e);
	}
	return r;
}

int cashet_log(struct cashet *c, const char *batch, uint32_t index,
	       const struct cashet_log_options *options, cashet_sink sink, void *arg,
	       struct cashet_error *error)
{
	static const struct cashet_log_options none;
	struct err e;
	return error_give(
		error, &e,
		read_log(c, batch, index, options ? options : &none, sink, arg, &e));
}
