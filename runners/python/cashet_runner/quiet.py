"""What is known to do nothing but give a value, of what is not the user's: calls of it while a module is imported
change nothing that a function could see later. Everything else may, so it counts; a row more here costs nothing
but runs that were for nothing. Also what never calls the functions that it is given.
"""

import ast

from .stdlib import MODULES as STANDARD

# All that is in these modules, but for LOUD.
MODULES = frozenset("""
abc argparse array ast attr attrs base64 binascii calendar cmath collections colorsys configparser contextlib
contextvars copy csv dataclasses datetime difflib enum fnmatch fractions functools graphlib hashlib hmac html
inspect ipaddress itertools json keyword math numbers operator pathlib platform posixpath pydantic queue re
reprlib secrets shlex statistics string struct sysconfig textwrap time token tokenize tomllib types typing
typing_extensions unicodedata uuid weakref zlib zoneinfo click numba pytest tenacity cachetools wrapt beartype
deprecated overrides mypy_extensions
""".split())
LOUD = frozenset("""
operator.call operator.delitem operator.methodcaller operator.setitem time.tzset contextlib.redirect_stdout
contextlib.redirect_stderr contextlib.chdir csv.register_dialect csv.unregister_dialect csv.field_size_limit
click.echo click.secho copy.replace weakref.finalize
""".split()) | frozenset("operator.i" + name for name in """
add and concat floordiv lshift matmul mod mul or pow rshift sub truediv xor""".split())
NAMES = frozenset("""
asyncio.Event asyncio.Lock asyncio.Queue asyncio.Semaphore concurrent.futures.ProcessPoolExecutor
concurrent.futures.ThreadPoolExecutor ctypes.POINTER decimal.Context decimal.Decimal getpass.getuser
glob.escape glob.glob glob.iglob hydra.main importlib.metadata.version importlib.util.find_spec io.BytesIO
io.StringIO io.TextIOWrapper jax.grad jax.jit jax.vmap locale.getpreferredencoding logging.Formatter
logging.NullHandler logging.StreamHandler logging.getLogger multiprocessing.cpu_count numpy.abs numpy.allclose
numpy.arange numpy.argmax numpy.argmin numpy.argsort numpy.array numpy.asarray numpy.bool_ numpy.clip
numpy.column_stack numpy.complex128 numpy.complex64 numpy.concatenate numpy.cos numpy.cumsum numpy.diff
numpy.dot numpy.dtype numpy.empty numpy.exp numpy.eye numpy.finfo numpy.float16 numpy.float32 numpy.float64
numpy.full numpy.hstack numpy.identity numpy.iinfo numpy.int16 numpy.int32 numpy.int64 numpy.int8 numpy.isnan
numpy.linspace numpy.log numpy.log10 numpy.log2 numpy.logspace numpy.matmul numpy.max numpy.maximum numpy.mean
numpy.meshgrid numpy.min numpy.minimum numpy.ones numpy.outer numpy.power numpy.prod numpy.random.Generator
numpy.random.RandomState numpy.random.default_rng numpy.repeat numpy.reshape numpy.round numpy.sin numpy.sort
numpy.split numpy.sqrt numpy.stack numpy.std numpy.sum numpy.tile numpy.transpose numpy.uint16 numpy.uint32
numpy.uint64 numpy.uint8 numpy.unique numpy.vectorize numpy.vstack numpy.where numpy.zeros os.PathLike
os.access os.cpu_count os.environ.get os.fsdecode os.fsencode os.fspath os.getcwd os.getenv os.getpid
os.listdir os.scandir os.stat os.uname os.urandom os.walk pandas.DataFrame pandas.Series pandas.Timestamp
random.Random random.SystemRandom socket.gethostname sys.exc_info sys.getfilesystemencoding
sys.getrecursionlimit sys.getsizeof sys.gettrace sys.intern tempfile.gettempdir tensorflow.function
threading.Barrier threading.BoundedSemaphore threading.Condition threading.Event threading.Lock
threading.RLock threading.Semaphore threading.Thread threading.Timer threading.current_thread threading.local
torch.arange torch.as_tensor torch.compile torch.cuda.device_count torch.cuda.is_available torch.device
torch.enable_grad torch.from_numpy torch.full torch.inference_mode torch.jit.export torch.jit.ignore
torch.jit.script torch.jit.unused torch.linspace torch.no_grad torch.ones torch.ones_like torch.tensor
torch.zeros torch.zeros_like types.SimpleNamespace unittest.expectedFailure unittest.skip unittest.skipIf
unittest.skipUnless urllib.parse.parse_qs urllib.parse.quote urllib.parse.urlencode urllib.parse.urljoin
urllib.parse.urlparse urllib.parse.urlsplit warnings.catch_warnings
""".split())
# Classes of others that take no note of their subclasses.
BASES = ("torch.nn.", "torch.utils.data.", "torch.optim.", "torch.autograd.", "pydantic.", "lightning.",
         "pytorch_lightning.", "keras.", "tensorflow.keras.", "sklearn.base.", "numpy.", "attr.", "attrs.",
         "typing_extensions.", "flax.linen.", "pytest.", "click.", "mypy_extensions.")

BUILTINS = frozenset("""
ArithmeticError AssertionError AttributeError BaseException Exception IndexError KeyError LookupError
NotImplementedError OSError RuntimeError StopIteration TypeError ValueError abs all any ascii bin bool
bytearray bytes callable chr classmethod complex dict divmod enumerate filter float format frozenset getattr
hasattr hash hex id int isinstance issubclass iter len list map max memoryview min object oct ord pow property
range repr reversed round set slice sorted staticmethod str sum super tuple type zip
""".split())
# Of these, what they get is only kept or looked at.
KEEPING = frozenset("""
callable classmethod getattr hasattr id isinstance issubclass object property staticmethod super type
collections.defaultdict collections.namedtuple functools.cache functools.cached_property functools.cmp_to_key
functools.lru_cache functools.partial functools.partialmethod functools.singledispatch
functools.singledispatchmethod functools.total_ordering functools.update_wrapper functools.wraps
contextlib.contextmanager contextlib.asynccontextmanager numpy.vectorize threading.Thread threading.Timer
""".split())
KEEPING_MODULES = frozenset("""abc argparse attr attrs beartype click contextvars dataclasses deprecated enum inspect
logging numba overrides pydantic pytest re tenacity torch types typing typing_extensions weakref wrapt jax""".split())
# But these change it.
CHANGING = frozenset("""
abc.update_abstractmethods attr.attrs attr.dataclass attr.define attr.frozen attr.mutable attr.s attrs.define
attrs.frozen attrs.mutable dataclasses.dataclass functools.total_ordering functools.update_wrapper
functools.wraps types.coroutine typing.final typing.no_type_check typing.runtime_checkable
""".split())
# Methods that change nothing, whatever it is that has them.
METHODS = frozenset("""
absolute as_posix astype capitalize casefold center copy count date decode difference encode endswith exists
expanduser expandvars find findall finditer format format_map fullmatch get getter hex hexdigest digest index
intersection is_absolute is_dir is_file isalnum isalpha isdigit isoformat issubset issuperset items join
joinpath keys ljust lower lstrip match mean most_common partition parse read read_bytes read_text readline
readlines relative_to replace reshape resolve rfind rjust rpartition rsplit rstrip search setter deleter split
splitlines startswith strftime strip sub sum swapcase timestamp title tolist total_seconds translate union
upper values with_name with_suffix zfill as_integer_ratio bit_length fromhex fromkeys from_bytes fromisoformat
fromtimestamp fromordinal maketrans now today utcnow to_bytes toordinal cwd home glob rglob iterdir fields
__getitem__ __len__ __contains__
""".split())
# Methods of objects that reach beyond themselves: files, threads, processes.
REACHING = frozenset("""
write_text write_bytes mkdir touch unlink rmdir rename symlink_to hardlink_to link_to chmod lchmod start
""".split())
# What is made by these has only methods that change nothing but itself.
REACHES = ("pathlib.", "threading.Thread", "threading.Timer", "concurrent.", "decimal.getcontext")


def quiet(dotted):
    """Whether a call of what is called so, outside, only gives a value."""
    return known(dotted) or dotted.count(".") > 1 and dotted.rpartition(".")[2] in METHODS and \
        dotted.partition(".")[0] in STANDARD  # sys.version.split()


def known(dotted):
    first, _, rest = dotted.partition(".")
    if dotted in NAMES or dotted.startswith("os.path."):
        return True
    if first == "builtins":
        return rest in BUILTINS
    return first in MODULES and dotted not in LOUD


def keeping(dotted):
    """Whether it calls nothing that it gets."""
    return dotted in KEEPING or dotted.partition(".")[0] in KEEPING_MODULES


def base(dotted, standard):
    """Whether a class of that base does nothing to it. @standard: it is Python's own."""
    return standard or dotted.startswith(BASES)


def contained(dotted):
    """Whether methods of what it makes change that thing alone."""
    return known(dotted) and not dotted.startswith(REACHES)


def reaches(name, node):
    """Whether @node, a call of a method of that name, reaches beyond its object."""
    return name in REACHING or name == "open" and not opens(node, 0)


def opens(node, at=1):
    """Whether a call of open(), whose mode is argument @at, is one for reading."""
    mode = node.args[at] if len(node.args) > at else None
    for keyword in node.keywords:
        if keyword.arg == "mode":
            mode = keyword.value
        elif keyword.arg not in ("encoding", "errors", "newline", "buffering"):
            return False
    return mode is None or mode.__class__ is ast.Constant and mode.value in ("r", "rb", "rt", "br", "tr")
