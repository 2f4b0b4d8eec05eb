/* import.c - gc beside an import: what the import may still name is not for gc to take. */
#include "rig.h"

#include "broker/store/cas.h"

#include <criterion/criterion.h>
#include <string.h>

static struct rig rig;
static struct end importer, other;

static void setup(void)
{
	rig_start(&rig);
	end_hello(&importer, &rig, false);
	end_hello(&other, &rig, false);
}

static void teardown(void)
{
	end_close(&importer);
	end_close(&other);
	rig_end(&rig);
}

TestSuite(import, .init = setup, .fini = teardown, .timeout = 240);

static void say(uint32_t number, bool discard)
{
	static uint8_t token[16] = "0123456789abcde";
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__ImportChunk chunk = CASHET__IMPORT_CHUNK__INIT;
	chunk.import = (ProtobufCBinaryData){sizeof token, token};
	chunk.chunk = number;
	chunk.discard = discard;
	m.body_case = CASHET__ENVELOPE__BODY_IMPORT_CHUNK;
	m.import_chunk = &chunk;
	end_send(&importer, &m);
	end_recv(&importer, CASHET__ENVELOPE__BODY_IMPORT_ACK);
}

static const Cashet__CareReport *clear(void)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__GcRequest gc = CASHET__GC_REQUEST__INIT;
	gc.all = true;
	m.body_case = CASHET__ENVELOPE__BODY_GC_REQUEST;
	m.gc_request = &gc;
	end_send(&other, &m);
	return end_recv(&other, CASHET__ENVELOPE__BODY_CARE_REPORT)->care_report;
}

/* A blob that nothing names, as one that an import has put and has not named yet. */
static void put(const char *text)
{
	cr_assert_eq(cas_put(rig.b->cas, text, strlen(text), NULL, NULL), 0);
}

Test(import, while_one_is_open_gc_takes_no_blobs)
{
	put("put before the import");
	say(0, false);
	put("put by it");
	const Cashet__CareReport *report = clear();
	cr_assert_eq(report->objects, 0);
	cr_assert_eq(report->kept_in_use, 2);
	say(1, false); /* it goes on as if nothing had been */
	cr_assert_eq(clear()->objects, 0);
	say(0, true);
	cr_assert_eq(clear()->objects, 2);
	cr_assert_eq(clear()->objects, 0);
}
