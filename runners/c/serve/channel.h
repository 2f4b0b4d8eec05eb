/* channel.h - the socket to the worker: frames in, answers out. Many frames come with one recv(); each
 * answer leaves with one send(). */
#pragma once

#include "common/task/frames.h"

#define CHANNEL_DESCRIPTORS_MAX 1024 /* waiting for their frames */

struct channel {
	int fd;
	uint8_t *data; /* start..end was received and is not yet used */
	size_t capacity, start, end;
	int descriptors[CHANNEL_DESCRIPTORS_MAX]; /* in the order in which they came */
	size_t descriptor_count;
};

/** channel_init() - takes @fd to where programs do not meet it. Return: 0 or a negative errno. */
int channel_init(struct channel *c, int fd);
void channel_fini(struct channel *c);
/**
 * channel_next() - waits for the next frame
 * @f: borrowed from the buffer until the next call
 *
 * Return: 1; 0 at the end of the stream; negative errno; -EBADMSG if a frame is malformed.
 */
int channel_next(struct channel *c, struct frame *f);
/** channel_descriptors() - those that a call needs. Return: how many, from c->descriptors[0] on. */
size_t channel_descriptors(const struct frame_call *call);
/** channel_drop() - closes the first @count descriptors. */
void channel_drop(struct channel *c, size_t count);
/** channel_send() - all of it. Return: 0 or a negative errno. */
int channel_send(struct channel *c, const struct buf *frames);
