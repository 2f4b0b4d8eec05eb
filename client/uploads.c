/* uploads.c - see uploads.h. */
#include "client/uploads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Asked for in groups of these sizes. */
#define COUNT_MAX 4096
#define BYTES_MAX (16u << 20)

struct upload {
	char *path; /* or NULL: */
	void *data;
	uint64_t size;
	uint8_t digest[DIGEST_SIZE];
};

static void reset(struct uploads *u)
{
	for (size_t i = 0; i < u->count; i++) {
		free(u->items[i].path);
		free(u->items[i].data);
	}
	u->count = u->bytes = 0;
}

void uploads_fini(struct uploads *u)
{
	reset(u);
	free(u->items);
	*u = (struct uploads){0};
}

int uploads_add(struct uploads *u, struct cashet *c, const struct builder_upload *upload,
		struct err *e)
{
	if (u->count == COUNT_MAX || u->bytes > BYTES_MAX) {
		int r = uploads_flush(u, c, e);
		if (r)
			return r;
	}
	if (u->count == u->capacity) {
		size_t capacity = u->capacity ? 2 * u->capacity : 16;
		struct upload *items = realloc(u->items, capacity * sizeof *items);
		if (!items)
			return handle_no_memory(e);
		u->items = items;
		u->capacity = capacity;
	}
	struct upload *to = &u->items[u->count];
	*to = (struct upload){.size = upload->size};
	memcpy(to->digest, upload->digest, DIGEST_SIZE);
	if (upload->path) {
		to->path = strdup(upload->path);
	} else {
		to->data = malloc(upload->size + 1);
		if (to->data && upload->size)
			memcpy(to->data, upload->data, upload->size);
		u->bytes += upload->size;
	}
	if (!to->path && !to->data)
		return handle_no_memory(e);
	u->count++;
	return 0;
}

static int changed(const struct upload *upload, struct err *e)
{
	err_set(e, ERR_USAGE, "%s changed while it was being submitted", upload->path);
	err_next(e, "submit again once nothing writes to it");
	return ERR_USAGE;
}

static int send_file(struct blob_client *blobs, const struct upload *upload,
		     struct err *e)
{
	struct stat st;
	uint8_t digest[DIGEST_SIZE];
	int fd = open(upload->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		err_set(e, ERR_USAGE, "%s cannot be read: %s", upload->path,
			strerror(errno));
		if (fd >= 0)
			close(fd);
		return ERR_USAGE;
	}
	int r = (uint64_t)st.st_size != upload->size
			? changed(upload, e)
			: blob_client_put_fd(blobs, fd, 0, upload->size, NULL, digest, e);
	close(fd);
	if (r == 0 && memcmp(digest, upload->digest, DIGEST_SIZE))
		r = changed(upload, e);
	return r;
}

static int send_missing(struct uploads *u, struct blob_client *blobs, const bool *missing,
			struct err *e)
{
	for (size_t i = 0; i < u->count; i++) {
		const struct upload *upload = &u->items[i];
		uint8_t digest[DIGEST_SIZE];
		if (!missing[i])
			continue;
		int r = upload->path ? send_file(blobs, upload, e)
				     : blob_client_put(blobs, upload->data, upload->size,
						       digest, e);
		if (r)
			return r;
	}
	return 0;
}

int uploads_flush(struct uploads *u, struct cashet *c, struct err *e)
{
	if (!u->count)
		return 0;
	struct blob_client *blobs;
	int r = handle_blobs(c, &blobs, e);
	if (r)
		return r;
	uint8_t(*digests)[DIGEST_SIZE] = malloc(u->count * sizeof *digests);
	bool *missing = calloc(u->count, sizeof *missing);
	if (digests && missing) {
		for (size_t i = 0; i < u->count; i++)
			memcpy(digests[i], u->items[i].digest, DIGEST_SIZE);
		r = blob_client_missing(blobs, (const uint8_t(*)[DIGEST_SIZE])digests,
					u->count, missing, e);
		if (r == 0)
			r = send_missing(u, blobs, missing, e);
	} else {
		r = handle_no_memory(e);
	}
	free(digests);
	free(missing);
	if (r == 0)
		reset(u);
	return r;
}
