/* fuzz_blob.c - the file of a blob, as bit rot, a torn disk or somebody else's program left it. The
 * reader gives out at most what the header says, and what it accepts is what zstd itself makes of the
 * file: a plain zstd stream. */
#include "broker/store/frame.h"
#include "common/fs.h"
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#define BLOB_MAX (8u << 20)

/* read_ours() - Return: 0 if every frame was read. */
static int read_ours(int fd, struct buf *out)
{
	static uint8_t scratch[FRAME_CHUNK + (FRAME_CHUNK >> 7) + 1024];
	static ZSTD_DCtx *context;
	uint64_t size = 0, offset = FRAME_HEADER_SIZE;
	if (frame_walk(fd, &size) || size > BLOB_MAX)
		return 1;
	if (!context)
		context = ZSTD_createDCtx();
	while (out->size < size) {
		struct frame_record record;
		/* The walk was there before. */
		must(frame_next(fd, &offset, size - out->size, &record) == 0);
		uint8_t *to = buf_reserve(out, record.content);
		must(to && frame_bound(record.content) <= sizeof scratch);
		if (frame_read(context, &(struct direct_reader){.fd = fd}, &record, to,
			       scratch, NULL))
			return 1;
		out->size += record.content;
	}
	return 0;
}

static void read_theirs(const uint8_t *data, size_t size, const struct buf *want)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer in = {data, size, 0};
	uint8_t *got = malloc(want->size + 1);
	ZSTD_outBuffer out = {got, want->size + 1, 0};
	while (in.pos < in.size) {
		size_t before = in.pos + out.pos;
		must(!ZSTD_isError(ZSTD_decompressStream(stream, &out, &in)) &&
		     in.pos + out.pos != before);
	}
	must(out.pos == want->size && memcmp(got, want->data, want->size) == 0);
	free(got);
	ZSTD_freeDStream(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	if (fd < 0)
		fd = memfd_create("blob", MFD_CLOEXEC);
	must(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0 &&
	     fs_write_all(fd, data, size) == 0);
	CLEANUP_BUF struct buf ours = {0};
	if (read_ours(fd, &ours) == 0)
		read_theirs(data, size, &ours);
	return 0;
}
