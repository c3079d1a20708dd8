"""Every key of the configuration: its type, its default and one sentence.

A section is one Struct, a key one field of it; the sentence stands in the field's ``Meta`` so that
``idis config show`` can print it. Numbers that formats or peers depend on are constants in
``limits``; here stands only what an operator has a reason to change. Bounds are part of the type.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from resolver import limits

MIB = 1 << 20
GIB = 1 << 30

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Interval = Annotated[float, Meta(gt=0, le=86_400)]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the TOML file."""


class Node(Section, frozen=True):
    """Who the node is and where it keeps what it knows."""

    prefix: Annotated[
        str, Meta(description="Secondary prefix of the node; empty means that of the store, 88.300 for a new one.")
    ] = ""
    data_dir: Annotated[
        str, Meta(description="Directory of the store, the credentials and the run files; made with mode 0700.")
    ] = "idis-data"


class Workers(Section, frozen=True):
    """How many worker processes serve and how they are looked after."""

    count: Annotated[int, Meta(ge=0, le=128, description="Worker processes; 0 means one for each core.")] = 0
    ready_timeout_s: Annotated[
        Interval,
        Meta(
            description="Seconds a new worker may take until its doors answer before it is ended; another one would be "
            "as slow on the same machine."
        ),
    ] = 90.0
    hang_timeout_s: Annotated[
        Interval, Meta(description="Seconds a worker may be silent before it counts as hung and is replaced.")
    ] = 30.0
    back_off_first_s: Annotated[
        Interval, Meta(description="Seconds before a crashed worker is started again; doubles with each crash.")
    ] = 0.1
    back_off_max_s: Annotated[
        Interval, Meta(description="Longest wait in seconds before a crashed worker returns.")
    ] = 10.0
    settled_s: Annotated[
        Interval, Meta(description="Seconds a worker must have lived for its next crash to count as the first.")
    ] = 30.0
    start_crashes_max: Annotated[
        int,
        Meta(ge=1, le=1_000, description="Crashes in a row before any worker is ready after which the node gives up."),
    ] = 5


class Grpc(Section, frozen=True):
    """The gRPC door."""

    listen: Annotated[str, Meta(description="HOST:PORT of the gRPC door; port 0 chooses one.")] = "127.0.0.1:2640"
    backend: Annotated[
        Literal["auto", "h2", "grpcio"],
        Meta(description="Implementation of the gRPC door; auto takes the fastest one that is installed and tested."),
    ] = "auto"
    reflection: Annotated[bool, Meta(description="Whether clients may ask for the API's descriptors.")] = True


class Tls(Section, frozen=True):
    """Certificates of the gRPC door; files are read again when they change."""

    certificate_file: Annotated[str, Meta(description="PEM certificate chain of the node; empty means no TLS.")] = ""
    key_file: Annotated[str, Meta(description="PEM private key that belongs to the certificate.")] = ""
    client_ca_file: Annotated[
        str, Meta(description="PEM authorities whose certificates clients must present; empty asks for none.")
    ] = ""
    poll_s: Annotated[Interval, Meta(description="Seconds between two looks at the files for a change.")] = 60.0


class Admin(Section, frozen=True):
    """The door for operators: livez, readyz, metrics, version."""

    listen: Annotated[str, Meta(description="HOST:PORT of the admin door; empty turns it off.")] = "127.0.0.1:2643"


class Hdl(Section, frozen=True):
    """The Handle protocol doors over TCP and UDP."""

    listen: Annotated[str, Meta(description="HOST:PORT of the Handle doors, TCP and UDP; empty turns them off.")] = (
        "127.0.0.1:2641"
    )
    address: Annotated[
        str, Meta(description="IP address that the node's HS_SITE names; empty means that of hdl.listen.")
    ] = ""
    administrators: Annotated[
        str,
        Meta(
            description="Keys INDEX:HANDLE, by commas, that administer the whole server; empty means 300:0.NA/PREFIX."
        ),
    ] = ""
    replication_admins: Annotated[
        str,
        Meta(
            description="Keys INDEX:HANDLE, by commas, whose Handle servers may follow this node and get all values, "
            "secret ones too; empty means those of hdl.administrators."
        ),
    ] = ""
    legacy_authentication: Annotated[
        bool, Meta(description="Whether old clients may authenticate by MD5 or SHA-1 forms; each use is logged.")
    ] = True
    udp_answers_per_s: Annotated[
        int,
        Meta(ge=0, le=60_000, description="Answers over UDP that one /24 or /64 network gets a second; 0 is no limit."),
    ] = 200
    idle_s: Annotated[
        Interval,
        Meta(description="Seconds without a request after which a TCP connection is closed; a login keeps it a day."),
    ] = 600.0


class Http(Section, frozen=True):
    """The HTTP door: Handle REST, the proxy and the other JSON APIs. TLS as in [tls]."""

    listen: Annotated[str, Meta(description="HOST:PORT of the HTTP door; empty turns it off.")] = "127.0.0.1:2642"
    accept_clear_credentials: Annotated[
        bool,
        Meta(description="Whether credentials over plain HTTP count: for networks you trust."),
    ] = False
    client_certificates: Annotated[
        bool, Meta(description="Whether clients over TLS may present a certificate; its key says who they are.")
    ] = True
    trusted_proxies: Annotated[
        str,
        Meta(description="Networks, by commas, of reverse proxies whose X-Forwarded-For and -Proto are believed."),
    ] = ""
    idle_s: Annotated[
        Interval, Meta(description="Seconds without a request after which a kept connection is closed.")
    ] = 75.0
    search_types: Annotated[
        str,
        Meta(description="Types, by commas, whose public values /hrls/handles finds; each value costs a row."),
    ] = ""


class Snms(Section, frozen=True):
    """The national SNMS OpenAPI on the HTTP port, and what its documents leave open."""

    enabled: Annotated[bool, Meta(description="Whether the HTTP port answers the SNMS OpenAPI.")] = True
    reference_type: Annotated[
        str, Meta(max_length=255, description="Type of the value at index 1001 that names the template; empty: none.")
    ] = "TEMPLATE"
    utc_offset_h: Annotated[
        float, Meta(ge=-14, le=14, description="Hours that dates in requests and answers are ahead of UTC.")
    ] = 8.0
    first_page: Annotated[int, Meta(ge=0, le=1, description="Number of the first page in currentPage.")] = 1
    proxy_server_id: Annotated[
        str, Meta(min_length=1, description="How the node itself is called where a prefix is to be hosted.")
    ] = "1"
    ghr_name: Annotated[
        str, Meta(description="Name of the national top-level node (国家顶级节点) in prefix records.")
    ] = ""
    mapped_http_status: Annotated[
        bool, Meta(description="Whether failures have HTTP statuses of their own; else 200, as in the original.")
    ] = False


class Access(Section, frozen=True):
    """Who may do what without a credential."""

    public_resolution: Annotated[
        bool, Meta(description="Whether anybody may resolve publicly readable values without a credential.")
    ] = True
    login_token_s: Annotated[
        Interval, Meta(description="Seconds that a token given for a user name and password is valid.")
    ] = 86_400.0


class Federation(Section, frozen=True):
    """Asking other nodes for names that this one is not responsible for."""

    recursion: Annotated[
        bool, Meta(description="Whether other nodes are asked for callers; off means referrals and refusals only.")
    ] = True
    top_file: Annotated[
        str, Meta(description="Site record of the top of the tree; empty means top.json in the data directory.")
    ] = ""
    forward: Annotated[
        bool,
        Meta(description="Whether the top is asked to search in this node's place, as a node that reaches no other."),
    ] = False
    refresh_s: Annotated[
        Interval, Meta(description="Seconds between two looks whether the top's site record has changed.")
    ] = 43_200.0
    certified: Annotated[
        Literal["prefixes", "all", "none"],
        Meta(description="Which answers a site with a key must sign: those about prefixes, all, or none."),
    ] = "prefixes"
    grpc: Annotated[bool, Meta(description="Whether nodes that say they speak gRPC are asked that way.")] = True
    allow_networks: Annotated[
        str,
        Meta(description="Networks by commas that other nodes may be asked in beside public ones, as 10.0.0.0/8."),
    ] = ""
    allow_ports: Annotated[str, Meta(description="Ports and ranges by commas that other nodes may be asked at.")] = (
        "1304,2640-2645,3641,5641,7641,8000-8080"
    )
    cache_entries_max: Annotated[
        int, Meta(ge=100, le=10_000_000, description="Answers of other nodes that a worker keeps.")
    ] = limits.FOREIGN_ENTRIES_MAX
    cache_octets_max: Annotated[
        int, Meta(ge=1 << 20, le=64 * GIB, description="Octets of other nodes' answers that a worker keeps.")
    ] = limits.FOREIGN_OCTETS_MAX
    stale_s: Annotated[
        Seconds, Meta(description="Seconds past its TTL that an answer is given, marked, while its node is silent.")
    ] = 86_400.0
    negative_ttl_s: Annotated[
        int, Meta(ge=1, le=86_400, description="Seconds that another node's 'not found' is kept.")
    ] = limits.NEGATIVE_TTL_S
    answer_octets_max: Annotated[
        int, Meta(ge=1_024, le=16 * MIB, description="Octets that one answer of another node may have.")
    ] = limits.UPSTREAM_OCTETS_MAX


class Storage(Section, frozen=True):
    """The store."""

    record_octets_max: Annotated[
        int,
        Meta(ge=1_024, le=limits.RECORD_OCTETS_MAX, description="Octets that one record may have, at most 1 MiB."),
    ] = limits.RECORD_OCTETS_MAX
    map_octets: Annotated[
        int,
        Meta(
            ge=16 * MIB,
            le=128 * 1_024 * GIB,
            description="Address space reserved for the store; it costs no disk and the store cannot outgrow it.",
        ),
    ] = 1_024 * GIB
    read_ahead_threads: Annotated[
        int,
        Meta(ge=0, le=64, description="Threads of a worker that read records once the store outgrows memory; 0: none."),
    ] = limits.READ_AHEAD_THREADS


class Lane(Section, frozen=True):
    """The write lane of each worker."""

    group_jobs_max: Annotated[
        int, Meta(ge=1, le=100_000, description="Write jobs that one commit takes; more hold the writer lock longer.")
    ] = limits.GROUP_JOBS_MAX
    queue_max: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Write jobs that may wait before further ones are refused.")
    ] = limits.LANE_QUEUE_MAX


class Mirror(Section, frozen=True):
    """Mirrors of this node, or what this node needs as one; whose mirror it is stands in its store."""

    confirmations: Annotated[
        int,
        Meta(ge=0, le=limits.MIRRORS_MAX, description="Mirrors that must hold a change before it is acknowledged."),
    ] = 0
    confirm_timeout_s: Annotated[
        Interval, Meta(description="Seconds to wait for them before a change is answered as unconfirmed.")
    ] = 4.0
    token_file: Annotated[
        str, Meta(description="API token a mirror shows its primary; empty means credentials/mirror.token.")
    ] = ""
    ca_file: Annotated[str, Meta(description="PEM authorities of the primary's certificate; empty means no TLS.")] = ""
    address: Annotated[
        str, Meta(description="HOST:PORT of the gRPC door as the site's nodes reach it; empty means where it listens.")
    ] = ""


class Site(Section, frozen=True):
    """What a server needs whose site has several; which ones there are stands in their stores."""

    token_file: Annotated[
        str, Meta(description="API token a server shows the others of its site; empty: credentials/site.token.")
    ] = ""
    ca_file: Annotated[
        str, Meta(description="PEM authorities of the other servers' gRPC certificates; empty means no TLS.")
    ] = ""


class Quota(Section, frozen=True):
    """What one enterprise may use unless its row says otherwise; the national rules name no numbers. 0 is no limit."""

    handles_max: Annotated[int, Meta(ge=0, le=1 << 53, description="Handles of one enterprise.")] = 0
    writes_per_s: Annotated[int, Meta(ge=0, le=1 << 31, description="Changes of one enterprise in a second.")] = 0
    writes_per_day: Annotated[int, Meta(ge=0, le=1 << 53, description="Changes of one enterprise in a day (UTC).")] = 0
    prefixes_max: Annotated[int, Meta(ge=0, le=1 << 31, description="Prefixes of one enterprise.")] = 0


class Statistics(Section, frozen=True):
    """Counts of resolutions and registrations."""

    flush_s: Annotated[
        Interval, Meta(description="Seconds between two writes of the counts to the store; a crash loses as much.")
    ] = 1.0
    keep_days: Annotated[
        int, Meta(ge=0, le=36_500, description="Days that counts by day, times and rates are kept; 0 is for ever.")
    ] = 800
    sources_keep_days: Annotated[
        int, Meta(ge=0, le=36_500, description="Days that counts by source address are kept; 0 is for ever.")
    ] = 190


class Watch(Section, frozen=True):
    """Streams of the journal."""

    poll_s: Annotated[
        Interval, Meta(description="Seconds between two looks for changes that other workers committed.")
    ] = 0.05
    write_timeout_s: Annotated[
        Interval, Meta(description="Seconds a reader of a stream may take for one message before it is let go.")
    ] = 30.0


class Drain(Section, frozen=True):
    """How a worker leaves."""

    delay_s: Annotated[
        Seconds, Meta(description="Seconds between reporting NOT_SERVING and refusing connections, for balancers.")
    ] = 0.5
    grace_s: Annotated[Seconds, Meta(description="Seconds that calls in flight get to finish.")] = 10.0


class Log(Section, frozen=True):
    """What is written to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least severity that is written.")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="Form of a log line; auto means console on a terminal and json elsewhere."),
    ] = "auto"


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    node: Node = field(default_factory=Node)
    workers: Workers = field(default_factory=Workers)
    grpc: Grpc = field(default_factory=Grpc)
    tls: Tls = field(default_factory=Tls)
    admin: Admin = field(default_factory=Admin)
    hdl: Hdl = field(default_factory=Hdl)
    http: Http = field(default_factory=Http)
    snms: Snms = field(default_factory=Snms)
    access: Access = field(default_factory=Access)
    federation: Federation = field(default_factory=Federation)
    storage: Storage = field(default_factory=Storage)
    lane: Lane = field(default_factory=Lane)
    mirror: Mirror = field(default_factory=Mirror)
    site: Site = field(default_factory=Site)
    quota: Quota = field(default_factory=Quota)
    statistics: Statistics = field(default_factory=Statistics)
    watch: Watch = field(default_factory=Watch)
    drain: Drain = field(default_factory=Drain)
    log: Log = field(default_factory=Log)
