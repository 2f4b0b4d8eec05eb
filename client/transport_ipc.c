/* transport_ipc.c - ZMTP 3.0 (rfc.zeromq.org/spec/23) over a Unix socket, as much as a DEALER needs
 * that exchanges messages of one frame with a ROUTER, without security (the socket's folder is
 * private to its owner):
 *
 *   we     greeting, READY           peer   greeting, READY      then messages, either way
 *
 * A greeting is 64 bytes: a signature, the version, the mechanism. What follows are frames: flags
 * (1 more, 2 long size, 4 command), size, body. Messages wait until the peer's READY is there:
 * libzmq takes nothing else before it has said its own. Its PING commands are answered. */
#include "client/transport.h"

#include "common/pure/buf.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define GREETING_SIZE 64
#define MECHANISM_AT 12
#define FRAME_MORE 1
#define FRAME_LONG 2
#define FRAME_COMMAND 4
#define COMMAND_MAX 4096
#define READ_PIECE (256u << 10)
#define OUT_MAX (256u << 20) /* bytes that wait for the peer */

struct ipc_transport {
	struct transport base;
	int fd;
	size_t message_max;
	enum transport_state state;
	bool greeted, ready; /* of the peer: its greeting, its READY is there */
	bool in_multipart;   /* dropping the rest of one */
	struct buf in, out, held;
	size_t in_at, out_at; /* what has been used of them */
};

static struct ipc_transport *of(struct transport *t)
{
	return container_of(t, struct ipc_transport, base);
}

static void lose(struct ipc_transport *i)
{
	if (i->state == TRANSPORT_WORKING)
		i->state = TRANSPORT_LOST;
}

static void ipc_close(struct transport *t)
{
	struct ipc_transport *i = of(t);
	if (i->fd >= 0)
		close(i->fd);
	buf_fini(&i->in);
	buf_fini(&i->out);
	buf_fini(&i->held);
	free(i);
}

/* ---- frames out */

static void add_frame(struct buf *out, uint8_t flags, const void *data, size_t size)
{
	uint8_t head[9] = {flags, (uint8_t)size};
	size_t head_size = 2;
	if (size > UINT8_MAX) {
		head[0] |= FRAME_LONG;
		for (int k = 0; k < 8; k++)
			head[1 + k] = (uint8_t)((uint64_t)size >> (56 - 8 * k));
		head_size = 9;
	}
	buf_add(out, head, head_size);
	buf_add(out, data, size);
}

static void add_greeting(struct buf *out)
{
	uint8_t greeting[GREETING_SIZE] = {0xff, [8] = 1, 0x7f, 3};
	static const uint8_t ready[] = "\5READY"
				       "\13Socket-Type\0\0\0\6DEALER"
				       "\10Identity\0\0\0";
	memcpy(greeting + MECHANISM_AT, "NULL", 4);
	buf_add(out, greeting, sizeof greeting);
	add_frame(out, FRAME_COMMAND, ready,
		  sizeof ready); /* its NUL ends the size of "" */
}

static void flush(struct ipc_transport *i)
{
	while (i->state == TRANSPORT_WORKING && i->out_at < i->out.size) {
		ssize_t n = send(i->fd, i->out.data + i->out_at, i->out.size - i->out_at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			i->out_at += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		else if (errno != EINTR)
			lose(i);
	}
	if (i->out_at == i->out.size) {
		buf_reset(&i->out);
		i->out_at = 0;
	}
}

static int ipc_send(struct transport *t, const void *data, size_t size)
{
	struct ipc_transport *i = of(t);
	struct buf *to = i->ready ? &i->out : &i->held;
	if (i->state != TRANSPORT_WORKING || to->size > OUT_MAX)
		return 1;
	add_frame(to, 0, data, size);
	if (to->failed)
		return 1;
	if (i->ready)
		flush(i);
	return i->state != TRANSPORT_WORKING;
}

/* ---- frames in */

static size_t left(const struct ipc_transport *i)
{
	return i->in.size - i->in_at;
}

static const uint8_t *at(const struct ipc_transport *i)
{
	return i->in.data + i->in_at;
}

/* Return: bytes read, 0 when there is nothing now or never again. */
static size_t read_more(struct ipc_transport *i)
{
	if (i->in_at) {
		memmove(i->in.data, at(i), left(i));
		i->in.size = left(i);
		i->in_at = 0;
	}
	uint8_t *to = buf_reserve(&i->in, READ_PIECE);
	if (!to) {
		lose(i);
		return 0;
	}
	ssize_t n;
	do
		n = recv(i->fd, to, i->in.capacity - i->in.size - 1, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
		lose(i);
	if (n <= 0)
		return 0;
	i->in.size += (size_t)n;
	return (size_t)n;
}

static void take_greeting(struct ipc_transport *i)
{
	static const uint8_t mechanism[20] = "NULL";
	if (left(i) < GREETING_SIZE)
		return;
	const uint8_t *greeting = at(i);
	if (greeting[0] != 0xff || greeting[9] != 0x7f || greeting[10] < 3)
		lose(i);
	else if (memcmp(greeting + MECHANISM_AT, mechanism, sizeof mechanism))
		i->state = TRANSPORT_KEYS_DIFFER;
	i->greeted = true;
	i->in_at += GREETING_SIZE;
}

static bool is_command(const uint8_t *body, size_t size, const char *name)
{
	size_t name_size = strlen(name);
	return size > name_size && body[0] == name_size &&
	       memcmp(body + 1, name, name_size) == 0;
}

static void take_command(struct ipc_transport *i, const uint8_t *body, size_t size)
{
	if (!i->ready && is_command(body, size, "READY")) {
		i->ready = true;
		buf_add(&i->out, i->held.data, i->held.size);
		if (i->held.failed || i->out.failed)
			lose(i);
		buf_fini(&i->held);
		flush(i);
	} else if (is_command(body, size, "ERROR")) {
		i->state = TRANSPORT_KEY_REFUSED;
	} else if (is_command(body, size, "PING") && size >= 7) {
		/* "PING", 2 bytes of time to live, a context that comes back */
		uint8_t pong[5 + 16] = "\4PONG";
		size_t context = size - 7 > 16 ? 16 : size - 7;
		memcpy(pong + 5, body + 7, context);
		add_frame(&i->out, FRAME_COMMAND, pong, 5 + context);
		flush(i);
	}
}

/* Return: 0 a whole frame, past which we are now; 1 not all of it is there; 2 it cannot be. */
static int take_frame(struct ipc_transport *i, uint8_t *flagsp, const uint8_t **bodyp,
		      size_t *sizep)
{
	const uint8_t *frame = at(i);
	size_t have = left(i), head = 2;
	if (have < 2)
		return 1;
	uint64_t size = frame[1];
	if (frame[0] & FRAME_LONG) {
		head = 9;
		if (have < head)
			return 1;
		size = 0;
		for (int k = 0; k < 8; k++)
			size = size << 8 | frame[1 + k];
	}
	size_t max = frame[0] & FRAME_COMMAND ? COMMAND_MAX : i->message_max;
	if (frame[0] > (FRAME_MORE | FRAME_LONG | FRAME_COMMAND) || size > max)
		return 2;
	if (have - head < size)
		return 1;
	*flagsp = frame[0];
	*bodyp = frame + head;
	*sizep = size;
	i->in_at += head + size;
	return 0;
}

static int ipc_recv(struct transport *t, const uint8_t **datap, size_t *sizep)
{
	struct ipc_transport *i = of(t);
	while (i->state == TRANSPORT_WORKING) {
		uint8_t flags;
		const uint8_t *body;
		size_t size;
		if (!i->greeted)
			take_greeting(i);
		int r = i->greeted && i->state == TRANSPORT_WORKING
				? take_frame(i, &flags, &body, &size)
				: 1;
		if (r == 2)
			lose(i);
		if (r == 1 && !read_more(i))
			return 1;
		if (r)
			continue;
		if (flags & FRAME_COMMAND) {
			take_command(i, body, size);
			continue;
		}
		if (!i->ready) {
			lose(i);
			break;
		}
		bool alone = !i->in_multipart && !(flags & FRAME_MORE);
		i->in_multipart = flags & FRAME_MORE;
		if (alone) {
			*datap = body;
			*sizep = size;
			return 0;
		}
		if (!i->in_multipart)
			return 2;
	}
	return 1;
}

static int ipc_wait(struct transport *t, uint64_t timeout_ns)
{
	struct ipc_transport *i = of(t);
	flush(i);
	if (i->state != TRANSPORT_WORKING)
		return 0;
	short out = i->out_at < i->out.size ? POLLOUT : 0;
	struct pollfd item = {.fd = i->fd, .events = (short)(POLLIN | out)};
	struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
				   .tv_nsec = (long)(timeout_ns % NS_PER_S)};
	bool forever = timeout_ns / NS_PER_S > 1u << 30;
	int r = ppoll(&item, 1, forever ? NULL : &timeout, NULL);
	if (r > 0 && (item.revents & POLLOUT))
		flush(i);
	return r < 0 ? -1 : r == 0;
}

static enum transport_state ipc_state(struct transport *t)
{
	return of(t)->state;
}

static int ipc_open(struct transport **tp, const struct transport_options *o,
		    struct err *e)
{
	const char *path = o->url + strlen("ipc://");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return err_set(e, ERR_UNREACHABLE, "%s is too long for a socket's path",
			       path);
	strcpy(address.sun_path, path);
	struct ipc_transport *i = calloc(1, sizeof *i);
	if (!i)
		return err_set(e, ERR_FAILED, "out of memory");
	i->base.kind = &transport_ipc;
	i->message_max = o->message_max;
	i->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = 0;
	if (i->fd < 0) {
		r = err_set(e, ERR_FAILED, "no socket: %s", strerror(errno));
	} else if (connect(i->fd, (struct sockaddr *)&address, sizeof address) < 0) {
		bool denied = errno == EACCES || errno == EPERM;
		r = err_set(e, denied ? ERR_NOT_ALLOWED : ERR_UNREACHABLE,
			    "%s cannot be connected to: %s", o->url, strerror(errno));
		if (denied)
			err_next(e, "it belongs to somebody else: name a store of your "
				    "own with --store DIR or CASHET_DIR");
	} else {
		add_greeting(&i->out);
		flush(i);
		if (i->out.failed)
			r = err_set(e, ERR_FAILED, "out of memory");
	}
	if (r)
		ipc_close(&i->base);
	else
		*tp = &i->base;
	return r;
}

const struct transport_kind transport_ipc = {
	.open = ipc_open,
	.close = ipc_close,
	.send = ipc_send,
	.recv = ipc_recv,
	.wait = ipc_wait,
	.state = ipc_state,
};
