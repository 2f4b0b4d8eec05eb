/* upload.h - after a task has ended: collecting what it left, and bringing its blobs to the store;
 * also uploading blobs again that the store lost. */
#pragma once

#include "worker/collect.h"
#include "worker/jobs.h"

struct upload {
	struct job job;
	/* in */
	void *owner; /* the attempt */
	struct collect collect;
	bool collected;	       /* only upload again */
	struct report *report; /* in and out: the threads' while the job is out */
	/* out */
	int error; /* negative errno of this worker's failure, -ECANCELED; 0 */
};

/** upload_submit() - in a thread; then @done. */
void upload_submit(struct upload *u, struct jobs *jobs,
		   void (*done)(struct job *job, void *owner));
