/* fuzz_frames.c - what a worker and a runner say to each other; each is hostile to the other. */
#include "common/task/frames.h"
#include "tests/fuzz/fuzz.h"

static void again_call(struct buf *out, const struct frame_call *c)
{
	struct frame_blob *blobs = calloc(c->blob_count + 1, sizeof *blobs);
	must(blobs);
	struct frame_bytes rest = c->blobs;
	uint32_t count = 0;
	while (frame_next_blob(&rest, &blobs[count]))
		count++;
	must(count == c->blob_count && rest.size == 0);
	frame_add_call(out, c, blobs);
	free(blobs);
}

static void again(struct buf *out, const struct frame *f)
{
	switch (f->type) {
	case FRAME_WELCOME:
	case FRAME_READY:
		frame_add_json(out, f->type, (const char *)f->json.data, f->json.size);
		return;
	case FRAME_LOAD:
		frame_add_load(out, f->load.number, (const char *)f->load.json.data,
			       f->load.json.size);
		return;
	case FRAME_CALL:
		again_call(out, &f->call);
		return;
	case FRAME_PING:
	case FRAME_PONG:
		frame_add_token(out, f->type, f->token);
		return;
	case FRAME_QUIT:
		frame_add_quit(out);
		return;
	case FRAME_DONE:
	case FRAME_ERROR:
		frame_add_answer(out, f->type, &f->answer);
		return;
	}
	must(false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size) {
		size_t whole = frame_size(data, size);
		CLEANUP_BUF struct buf out = {0};
		struct frame f;
		if (whole == 0 || whole > size)
			return 0;
		if (frame_decode(data, whole, &f))
			return 0;
		again(&out, &f);
		must_be_canonical(&out, data, whole);
		data += whole;
		size -= whole;
	}
	return 0;
}
