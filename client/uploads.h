/* uploads.h - blobs that a batch needs in the store before it is sealed: collected, asked for in
 * groups, and only those that the store lacks are sent. */
#pragma once

#include "client/builder.h"
#include "client/handle.h"

struct uploads {
	struct upload *items;
	size_t count, capacity;
	size_t bytes; /* of the data held */
};

/** uploads_add() - copies @upload; may send what has been collected, when that is a lot. */
int uploads_add(struct uploads *u, struct cashet *c, const struct builder_upload *upload,
		struct err *e);
/** uploads_flush() - on return everything added is durable in the store. */
int uploads_flush(struct uploads *u, struct cashet *c, struct err *e);
void uploads_fini(struct uploads *u);
