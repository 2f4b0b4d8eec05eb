/* fuzz_envelope.c - what strangers send to the control socket and to the blob socket. Whatever is
 * decoded stays within its budget, and packs to something that decodes again. */
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct wire_arena *arena, size_t size)
{
	must(arena->total <= 64 * size + (64u << 10));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_arena arena;
	wire_arena_init(&arena);
	const Cashet__Envelope *envelope = wire_unpack(&arena, data, size);
	check(&arena, size);
	if (envelope) {
		CLEANUP_BUF struct buf again = {0};
		wire_pack(&again, envelope);
		wire_arena_reset(&arena);
		must(!again.size || wire_unpack(&arena, again.data, again.size));
	}
	wire_arena_reset(&arena);
	(void)wire_unpack_blob(&arena, data, size);
	check(&arena, size);
	wire_arena_fini(&arena);
	return 0;
}
