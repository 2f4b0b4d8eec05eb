/* blob_transfer.c - one put, get or question, as a stream of a blob client's session. */
#include "proto/blob_client_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void transfer_fini(struct transfer *t)
{
	if (t->has_unsent)
		zmq_msg_close(&t->unsent);
	t->has_unsent = false;
}

void transfer_restart(struct transfer *t, uint64_t retry_ns)
{
	transfer_fini(t);
	t->is_open = t->end_sent = t->by_file = false;
	t->sent = t->credit = 0;
	t->retry_ns = retry_ns;
}

/* ---- opening ---- */

/* file_ref() - how a broker on this machine finds what is to be put. Return: NULL: it is no file. */
static Cashet__FileRef *file_ref(const struct transfer *t, Cashet__FileRef *ref)
{
	struct stat st;
	if (t->fd < 0 || t->size <= BLOB_PIECE_MAX || fstat(t->fd, &st) < 0 ||
	    !S_ISREG(st.st_mode))
		return NULL;
	cashet__file_ref__init(ref);
	ref->pid = (uint64_t)getpid();
	ref->fd = (uint64_t)t->fd;
	ref->device = st.st_dev;
	ref->inode = st.st_ino;
	return ref;
}

static int open_have(struct blob_client *c, struct transfer *t, Cashet__BlobMessage *m,
		     struct err *e)
{
	ProtobufCBinaryData *list = calloc(t->count ? t->count : 1, sizeof *list);
	if (!list)
		return err_set(e, ERR_FAILED, "out of memory");
	for (size_t i = 0; i < t->count; i++)
		list[i] = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)t->digests[i]};
	m->kind = CASHET__BLOB_MESSAGE__KIND__HAVE;
	m->n_digests = t->count;
	m->digests = list;
	t->is_open = blob_client_say(c, m) == 0;
	free(list);
	return 0;
}

int transfer_open(struct blob_client *c, struct transfer *t, unsigned open_count,
		  struct err *e)
{
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	Cashet__FileRef file;
	m.stream = t->stream = c->next_stream++;
	t->heard_ns = t->nudged_ns = c->now_ns;
	switch (t->kind) {
	case TRANSFER_PUT:
		if (t->source_used) {
			err_set(e, ERR_UNREACHABLE,
				"the connection broke while a blob was being sent, and "
				"it cannot be read again");
			err_next(e,
				 "do the same again: what was stored is not sent again");
			return ERR_UNREACHABLE;
		}
		m.kind = CASHET__BLOB_MESSAGE__KIND__PUT;
		m.size = t->size;
		if (!endpoint_is_tcp(c->url))
			m.file = file_ref(t, &file);
		/* A small one needs no credit: everything goes in one burst. */
		t->credit = t->size <= WIRE_BLOB_UNASKED_MAX ? t->size : 0;
		break;
	case TRANSFER_GET:
		m.kind = CASHET__BLOB_MESSAGE__KIND__GET;
		m.digest = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)t->asked};
		m.offset = t->start + t->received;
		m.size = t->max ? t->max - t->received : 0;
		t->window = WIRE_BLOB_WINDOW / (open_count ? open_count : 1);
		if (t->window < WIRE_BLOB_PIECE)
			t->window = WIRE_BLOB_PIECE;
		t->unreported = 0;
		m.credit = t->window;
		break;
	case TRANSFER_HAVE:
		return open_have(c, t, &m, e);
	}
	t->is_open = blob_client_say(c, &m) == 0;
	return 0;
}

/* ---- sending ---- */

static int read_fd(struct transfer *t, uint8_t *to, size_t size, struct err *e)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(t->fd, to + done, size - done,
				  (off_t)(t->base + t->sent + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? err_set(e, ERR_FAILED,
					   "cannot read a file to upload: %s",
					   strerror(errno))
				 : err_set(e, ERR_FAILED,
					   "a file became shorter while it was uploaded");
		done += (size_t)n;
	}
	return 0;
}

/* next_piece() - what comes next, at most @max bytes of content; of a file that we read ourselves, the
 * bytes follow. *@endedp: there is nothing more. */
static int next_piece(struct transfer *t, size_t max, bool *endedp, struct err *e)
{
	t->piece = (struct blob_piece){.size = (uint32_t)max};
	if (!t->source) {
		t->piece.from = t->base + t->sent;
		t->piece.data = t->fd < 0 ? t->data + t->sent : NULL;
		return 0;
	}
	t->source_used = true;
	int rc = t->source(t->source_arg, max, t->by_file, &t->piece, e);
	*endedp = rc == 0 && !t->piece.size;
	if (!*endedp)
		return rc;
	if (t->size != BLOB_SIZE_UNKNOWN)
		return err_set(e, ERR_FAILED, "a blob is shorter than was announced");
	t->size = t->sent;
	return 0;
}

/* fill() - the message, with as many bytes as the piece has in it. */
static int fill(struct transfer *t, struct err *e)
{
	const struct blob_piece *piece = &t->piece;
	bool reads = !piece->data && !t->by_file;
	size_t size = piece->stored ? piece->stored : piece->size;
	if (zmq_msg_init_size(&t->unsent, piece->data || reads ? size : 0) < 0)
		return err_set(e, ERR_FAILED, "out of memory");
	int rc = 0;
	if (piece->data)
		memcpy(zmq_msg_data(&t->unsent), piece->data, size);
	else if (reads)
		rc = read_fd(t, zmq_msg_data(&t->unsent), size, e);
	if (rc)
		zmq_msg_close(&t->unsent);
	return rc;
}

/* say_piece() - Return: 0; 1 if the socket takes no more for now. */
static int say_piece(struct blob_client *c, struct transfer *t)
{
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	m.stream = t->stream;
	m.kind = CASHET__BLOB_MESSAGE__KIND__DATA;
	m.offset = t->sent;
	m.size = t->piece.size;
	m.stored = t->piece.stored;
	if (zmq_msg_size(&t->unsent))
		return wire_send_blob_msg(c->socket, NULL, 0, &m, &t->unsent, NULL);
	m.by_file = true;
	m.from = t->piece.from;
	return wire_send_blob_msg(c->socket, NULL, 0, &m, NULL, NULL);
}

/* send_piece() - the one that could not be sent before, or the next. */
static int send_piece(struct blob_client *c, struct transfer *t, struct err *e)
{
	uint64_t max = t->size - t->sent,
		 most = t->source || t->by_file ? BLOB_PIECE_MAX : WIRE_BLOB_PIECE;
	max = max < most ? max : most;
	/* What a source gives is not cut: it waits for its credit. */
	if (!t->source)
		max = max < t->credit ? max : t->credit;
	if (!t->has_unsent) {
		bool ended = false;
		int rc = next_piece(t, (size_t)max, &ended, e);
		if (rc || ended)
			return rc;
		rc = fill(t, e);
		if (rc)
			return rc;
		t->has_unsent = true;
	}
	if (t->piece.size > t->credit) {
		t->lacks_credit = true;
		return 0;
	}
	if (say_piece(c, t)) {
		c->is_blocked = true;
		return 0;
	}
	zmq_msg_close(&t->unsent);
	t->has_unsent = false;
	t->sent += t->piece.size;
	t->credit -= t->piece.size;
	return 0;
}

/* give_credit() - for what was taken, in large steps: one message of ours for several of theirs. */
static void give_credit(struct blob_client *c, struct transfer *t)
{
	if (t->unreported < t->window / 4)
		return;
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	m.stream = t->stream;
	m.kind = CASHET__BLOB_MESSAGE__KIND__CREDIT;
	m.credit = t->unreported;
	if (blob_client_say(c, &m) == 0)
		t->unreported = 0;
}

int transfer_pump(struct blob_client *c, struct transfer *t, struct err *e)
{
	if (t->kind == TRANSFER_GET)
		give_credit(c, t);
	if (t->kind != TRANSFER_PUT || t->end_sent)
		return 0;
	t->lacks_credit = false;
	while (t->sent < t->size && t->credit && !c->is_blocked && !t->lacks_credit) {
		int rc = send_piece(c, t, e);
		if (rc)
			return rc;
	}
	if (t->sent < t->size || c->is_blocked)
		return 0;
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	m.stream = t->stream;
	m.kind = CASHET__BLOB_MESSAGE__KIND__END;
	if (t->want)
		m.digest = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)t->want};
	t->end_sent = blob_client_say(c, &m) == 0;
	return 0;
}

/* ---- answers ---- */

static int broke_rules(struct err *e, const char *what)
{
	return err_set(e, ERR_FAILED, "the broker broke the rules of blob transfer: %s",
		       what);
}

static int on_data(struct transfer *t, const Cashet__BlobMessage *m,
		   const struct wire_frame *frame, struct err *e)
{
	uint64_t size = frame->payload_size;
	if (t->kind != TRANSFER_GET || !frame->payload || !size)
		return broke_rules(e, "bytes that were not asked for");
	if (m->offset != t->start + t->received ||
	    (t->max && size > t->max - t->received))
		return broke_rules(e, "a piece out of place");
	if (t->is_verified)
		sha256_update(&t->sha, frame->payload, size);
	int rc = t->sink(t->sink_arg, frame->payload, size);
	if (rc < 0)
		return err_set(e, ERR_FAILED, "cannot keep what was downloaded: %s",
			       strerror(-rc));
	t->received += size;
	t->unreported += size;
	return 0;
}

static int on_end(struct transfer *t, const Cashet__BlobMessage *m, struct err *e)
{
	if (t->kind != TRANSFER_GET)
		return broke_rules(e, "an end of something that is no get");
	uint64_t want = m->size > t->start ? m->size - t->start : 0;
	if (t->max && t->max < want)
		want = t->max;
	if (t->received != want)
		return broke_rules(e, "fewer bytes than there are");
	uint8_t digest[DIGEST_SIZE];
	sha256_final(&t->sha, digest);
	if (t->is_verified && memcmp(digest, t->asked, DIGEST_SIZE) != 0)
		return err_set(e, ERR_FAILED,
			       "the bytes that the broker sent are not those "
			       "of the digest that was asked for");
	t->is_done = true;
	return 0;
}

static int on_ok(struct transfer *t, const Cashet__BlobMessage *m, struct err *e)
{
	if (t->kind != TRANSFER_PUT || !t->end_sent || !wire_is(&m->digest, DIGEST_SIZE))
		return broke_rules(e, "an acknowledgement of nothing");
	if (t->want && memcmp(t->want, m->digest.data, DIGEST_SIZE) != 0)
		return broke_rules(e, "another digest than was promised");
	memcpy(t->digest, m->digest.data, DIGEST_SIZE);
	t->is_done = true;
	return 0;
}

static int on_have_reply(struct transfer *t, const Cashet__BlobMessage *m, struct err *e)
{
	if (t->kind != TRANSFER_HAVE)
		return broke_rules(e, "an answer to no question");
	/* Missing ones come in the order in which they were asked about. */
	size_t at = 0;
	for (size_t i = 0; i < t->count; i++) {
		t->missing[i] =
			at < m->n_digests && wire_is(&m->digests[at], DIGEST_SIZE) &&
			memcmp(m->digests[at].data, t->digests[i], DIGEST_SIZE) == 0;
		at += t->missing[i];
	}
	if (at != m->n_digests)
		return broke_rules(e, "missing blobs that nobody asked about");
	t->is_done = true;
	return 0;
}

static int on_error(struct blob_client *c, struct transfer *t,
		    const Cashet__BlobMessage *m, struct err *e)
{
	const Cashet__Error *error = m->error;
	if (!error)
		return broke_rules(e, "an error without content");
	if (error->code ==
	    ERR_UNREACHABLE) { /* not now: it is busy, or lost the stream */
		transfer_restart(t, c->now_ns + 200 * NS_PER_MS);
		return 0;
	}
	if (t->by_file && !t->source && !t->want && error->code == ERR_USAGE)
		return err_set(e, ERR_FAILED,
			       "a file became shorter while it was uploaded");
	enum err_code code = error->code ? (enum err_code)error->code : ERR_FAILED;
	err_set(e, code, "%s: %s",
		t->kind == TRANSFER_PUT	  ? "cannot upload a blob"
		: t->kind == TRANSFER_GET ? "cannot download a blob"
					  : "cannot ask for blobs",
		error->what);
	if (error->next[0])
		err_next(e, "%s", error->next);
	return code;
}

int transfer_on_message(struct blob_client *c, struct transfer *t,
			const Cashet__BlobMessage *m, const struct wire_frame *frame,
			struct err *e)
{
	t->heard_ns = c->now_ns;
	int rc = 0;
	switch (m->kind) {
	case CASHET__BLOB_MESSAGE__KIND__DATA:
		rc = on_data(t, m, frame, e);
		break;
	case CASHET__BLOB_MESSAGE__KIND__CREDIT:
		if (t->kind == TRANSFER_PUT && m->credit <= UINT64_MAX - t->credit) {
			t->credit += m->credit;
			t->by_file = m->by_file && m->credit ? true : t->by_file;
		}
		break;
	case CASHET__BLOB_MESSAGE__KIND__END:
		rc = on_end(t, m, e);
		break;
	case CASHET__BLOB_MESSAGE__KIND__OK:
		rc = on_ok(t, m, e);
		break;
	case CASHET__BLOB_MESSAGE__KIND__HAVE_REPLY:
		rc = on_have_reply(t, m, e);
		break;
	case CASHET__BLOB_MESSAGE__KIND__ERROR:
		return on_error(c, t, m, e);
	default:
		return broke_rules(e, "a message that only askers send");
	}
	/* Also an answer to a nudge: the stream is alive, waiting for its turn or for the disk. Streams
	 * that do not move although they could are ended by the broker. */
	c->progress_ns = c->now_ns;
	return rc;
}
