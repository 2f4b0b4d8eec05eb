/* fake_internal.h - between the files of the fake broker. */
#pragma once

#include "tests/unit/worker/fake_broker.h"

struct fake_put {
	struct fake_put *next;
	uint64_t stream;
	struct buf data;
};

/** fake_say() - to the worker on the control socket. @message: any body of an Envelope. */
void fake_say(struct fake *f, Cashet__Envelope__BodyCase body, void *message,
	      uint64_t serial);
void fake_serve_control(struct fake *f); /* all that has come */
void fake_serve_blobs(struct fake *f);
