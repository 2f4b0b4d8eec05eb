/* upload.c - see upload.h. A store that cannot be reached or is full is waited for: the result of
 * hours of work is not given up because the other side has a problem. */
#include "worker/upload.h"

#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Return: 0; -ESTALE if the file is not any more what was hashed; 1 to try again later. */
static int put_one(struct blob_client *client, const struct report_blob *b)
{
	struct err e = {0};
	uint8_t digest[DIGEST_SIZE] = {0};
	static const uint8_t none[DIGEST_SIZE];
	int rc;
	if (b->path) {
		int fd = open(b->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return -errno;
		rc = blob_client_put_fd(client, fd, 0, b->size, b->digest, digest, &e);
		close(fd);
	} else {
		rc = blob_client_put(client, b->data, b->size, digest, &e);
	}
	if (rc == 0 && memcmp(digest, b->digest, DIGEST_SIZE) == 0)
		return 0;
	if (memcmp(digest, none, DIGEST_SIZE) && memcmp(digest, b->digest, DIGEST_SIZE))
		return -ESTALE;
	char hex[HEX_DIGEST_SIZE];
	log_warn("output not uploaded", "blob=%s error=%s",
		 hex_encode(hex, b->digest, DIGEST_SIZE), e.what);
	return 1;
}

static int find_missing(struct blob_client *client, const struct report *r, bool *missing)
{
	uint8_t(*digests)[DIGEST_SIZE] = mem_alloc(r->blob_count * DIGEST_SIZE);
	for (size_t i = 0; i < r->blob_count; i++)
		memcpy(digests[i], r->blobs[i].digest, DIGEST_SIZE);
	struct err e = {0};
	int rc = blob_client_missing(client, (const uint8_t(*)[DIGEST_SIZE])digests,
				     r->blob_count, missing, &e);
	free(digests);
	if (rc)
		log_warn("blob query failed", "error=%s", e.what);
	return rc;
}

/* Return: 0, negative errno, or 1 to try again later. */
static int upload_once(struct job_thread *thread, const struct report *r)
{
	struct blob_client *client = job_blobs(thread);
	if (!client)
		return -ECANCELED;
	CLEANUP_FREE bool *missing = mem_alloc(r->blob_count * sizeof *missing);
	int rc = find_missing(client, r, missing) ? 1 : 0;
	for (size_t i = 0; rc == 0 && i < r->blob_count; i++)
		if (missing[i])
			rc = job_is_cancelled(thread) ? -ECANCELED
						      : put_one(client, &r->blobs[i]);
	return rc;
}

static void run(struct job *job, struct job_thread *thread)
{
	struct upload *u = container_of(job, struct upload, job);
	if (!u->collected)
		u->error = collect_run(&u->collect, u->report);
	u->collected = true;
	while (u->error == 0 && u->report->blob_count) {
		u->error = upload_once(thread, u->report);
		if (u->error == 0)
			return;
		if (u->error > 0)
			u->error = job_pause(thread) ? 0 : -ECANCELED;
	}
}

void upload_submit(struct upload *u, struct jobs *jobs,
		   void (*done)(struct job *job, void *owner))
{
	u->job.run = run;
	u->job.done = done;
	u->job.lane = LANE_UPLOAD;
	jobs_submit(jobs, &u->job);
}
