/* channel.c - see channel.h. A frame's descriptors come with its first bytes, so they are in the queue,
 * in order, when the frame is whole; how many are its own, its blobs say. */
#include "runners/c/serve/channel.h"

#include "common/pure/mem.h"
#include "runners/c/serve/output.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CAPACITY (256u << 10)

int channel_init(struct channel *c, int fd)
{
	*c = (struct channel){.fd = output_keep_high(fd), .capacity = CAPACITY};
	if (c->fd < 0)
		return c->fd;
	close(fd);
	c->data = mem_alloc(c->capacity);
	return 0;
}

void channel_fini(struct channel *c)
{
	channel_drop(c, c->descriptor_count);
	free(c->data);
	close(c->fd);
}

void channel_drop(struct channel *c, size_t count)
{
	assert(count <= c->descriptor_count);
	for (size_t i = 0; i < count; i++)
		close(c->descriptors[i]);
	c->descriptor_count -= count;
	memmove(c->descriptors, c->descriptors + count,
		c->descriptor_count * sizeof *c->descriptors);
}

size_t channel_descriptors(const struct frame_call *call)
{
	struct frame_bytes rest = call->blobs;
	struct frame_blob blob;
	size_t count = 0;
	for (uint32_t i = 0; i < call->blob_count && frame_next_blob(&rest, &blob); i++)
		if (blob.where == FRAME_DESCRIPTOR && blob.descriptor >= count)
			count = blob.descriptor + 1;
	return count;
}

/* room() - for more of the frame that is at c->start, whose size may be known. */
static void make_room(struct channel *c, size_t frame)
{
	if (c->start > 0) {
		memmove(c->data, c->data + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	size_t capacity = c->capacity;
	while (capacity < frame || capacity == c->end)
		capacity *= 2;
	if (capacity != c->capacity)
		c->data = mem_resize(c->data, capacity);
	c->capacity = capacity;
}

static int take_descriptors(struct channel *c, struct msghdr *m)
{
	bool full = m->msg_flags & MSG_CTRUNC;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
			if (c->descriptor_count < CHANNEL_DESCRIPTORS_MAX) {
				c->descriptors[c->descriptor_count++] = fd;
				continue;
			}
			close(fd);
			full = true;
		}
	}
	return full ? -EMFILE : 0;
}

/* receive() - more bytes. Return: 1, 0 at the end, negative errno. */
static int receive(struct channel *c)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FRAME_DESCRIPTORS_MAX * sizeof(int))];
	} control;
	struct iovec piece = {c->data + c->end, c->capacity - c->end};
	struct msghdr m = {.msg_iov = &piece,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof control};
	ssize_t got = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
	if (got < 0 && errno == EAGAIN) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		poll(&p, 1, -1);
		return 1;
	}
	if (got < 0)
		return errno == EINTR ? 1 : -errno;
	c->end += (size_t)got;
	int status = take_descriptors(c, &m);
	return status < 0 ? status : got > 0;
}

int channel_next(struct channel *c, struct frame *f)
{
	for (;;) {
		size_t size = frame_size(c->data + c->start, c->end - c->start);
		if (size == SIZE_MAX)
			return -EBADMSG;
		if (size && size <= c->end - c->start) {
			const uint8_t *at = c->data + c->start;
			c->start += size;
			if (c->start == c->end)
				c->start = c->end = 0;
			return frame_decode(at, size, f) ? -EBADMSG : 1;
		}
		make_room(c, size);
		int status = receive(c);
		if (status <= 0)
			return status == 0 && c->end > c->start ? -EBADMSG : status;
	}
}

int channel_send(struct channel *c, const struct buf *frames)
{
	for (size_t sent = 0; sent < frames->size;) {
		ssize_t n = send(c->fd, frames->data + sent, frames->size - sent,
				 MSG_NOSIGNAL);
		if (n >= 0) {
			sent += (size_t)n;
		} else if (errno == EAGAIN) {
			struct pollfd p = {.fd = c->fd, .events = POLLOUT};
			poll(&p, 1, -1);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}
