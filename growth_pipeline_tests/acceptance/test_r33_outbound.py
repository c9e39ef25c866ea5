"""R33: no alert reaches an address inside, whatever its URL says or its name answers.

80 vectors and more, each on save (settings), test (doctor) and send (Slack, GitHub, heartbeat). A
connection counts as made when the transport below the door is asked to make it, so that nothing of
the kind can be missed; a server on loopback that would be reached counts too.
"""

import threading
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address, ip_network

import httpx
import pytest
from pydantic import ValidationError

from growth_pipeline.alerts.deliver import ChannelRefusedError, OutcomeUnknownError, WaitingAlert
from growth_pipeline.alerts.github import GitHubChannel
from growth_pipeline.alerts.heartbeat import HeartbeatChannel
from growth_pipeline.alerts.outbound import OutboundTransport
from growth_pipeline.alerts.slack import SlackChannel
from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.operate.doctor import examine_addresses
from growth_pipeline.settings import AlertSettings, Settings
from growth_pipeline_tests.fakes.loopback_http import LoopbackServer

PUBLIC = "93.184.215.14"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

# Spellings of hosts inside: refused by the text alone, or by what the name resolves to.
INSIDE_HOSTS = """
127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 127.0.0.1.
0.0.0.0 0 localhost localhost. LOCALHOST ip6-localhost
10.0.0.1 10.255.255.254 172.16.0.1 172.31.255.254 192.168.1.1 100.64.0.1 100.100.100.200
169.254.169.254 169.254.170.2 0xa9fea9fe 2852039166 0251.0376.0251.0376 169.254.43518
192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255 168.63.129.16
[::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:169.254.169.254] [::ffff:10.0.0.1]
[::127.0.0.1] [fe80::1] [fe80::1%25eth0] [fd00:ec2::254] [fc00::1] [ff02::1] [fec0::1]
[64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:a9fe:a9fe::1]
[2001:0:4136:e378:8000:63bf:3fff:fdd2] [2001:db8::1] [100::1] [0:0:0:0:0:ffff:127.0.0.1]
metadata intranet db.internal. printer 1.1.1 99999.1.1.1 ①②⑦.⓪.⓪.① \uff11\uff12\uff17.0.0.1 127\u30020\u30020\u30021
""".split()

# Whole URLs whose parts disagree, of other schemes, or with signs that parsers read differently.
INSIDE_URLS = [
    "http://hooks.slack.com/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "ftp://hooks.example/x",
    "dict://127.0.0.1:11211/stat",
    "unix:///var/run/docker.sock",
    "//hooks.slack.com/x",
    "hooks.slack.com/x",
    "",
    "https://?x",
    "https:///x",
    "https://hooks.slack.com:22/x",
    "https://hooks.slack.com:6379/x",
    "https://hooks.slack.com:99999/x",
    "https://hooks.slack.com:abc/x",
    "https://hooks.slack.com@127.0.0.1/x",
    "https://user:pass@hooks.slack.com/x",
    "https://127.0.0.1\\@hooks.slack.com/x",
    "https://hooks.slack.com\\.127.0.0.1/x",
    "https://127.0.0.1%00.hooks.slack.com/x",
    "https://hooks.slack.com%2f@127.0.0.1/x",
    "https://hooks.slack.com\r\nHost: 127.0.0.1/x",
    "https://hooks.slack.com\t.127.0.0.1/x",
    " https://127.0.0.1/x",
    "https://[::1/x",
    "https://-bad-.example/x",
    "https://" + "a" * 3000 + ".example/x",
]

# Names that look honest: host -> what the resolver answers, one answer a question.
REBOUND = {
    "one-inside.example": [["127.0.0.1"]],
    "metadata.example": [["169.254.169.254"]],
    "mapped.example": [["::ffff:10.0.0.1"]],
    "tunnel.example": [["2002:7f00:1::"]],
    "translated.example": [["64:ff9b::7f00:1"]],
    "two-answers.example": [[PUBLIC, "10.0.0.7"]],
    "two-families.example": [[PUBLIC, "::1"]],
    "scoped.example": [["fe80::1%eth0"]],
    "azure.example": [["168.63.129.16"]],
    "nonsense.example": [["not-an-address"]],
}


class Resolver:
    """Answers as told, and remembers how often it was asked."""

    def __init__(self, answers):
        self.answers, self.asked = {name: list(all_) for name, all_ in answers.items()}, []

    def __call__(self, host, port):
        self.asked.append(host)
        answers = self.answers.get(host, [[PUBLIC]])
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Recorder(httpx.BaseTransport):
    """The transport below the door: remembers to which address, and as whom, it was sent."""

    def __init__(self, answer=None):
        self.sent, self.answer = [], answer or (lambda request: httpx.Response(200, json={}))

    def handle_request(self, request):
        name = request.extensions.get("sni_hostname", request.url.host)
        self.sent.append((request.url.host, name, request.headers["host"]))
        return self.answer(request)


def door(resolver, recorder):
    return OutboundTransport(resolve=resolver, inner=recorder)


def an_alert():
    return WaitingAlert(1, "k", "failed_check", "f", "t", "b")


def refused_on_save(url):
    """Whether no setting takes it. The message never shows it."""
    refused = 0
    for name in ("slack_webhook_url", "heartbeat_url", "github_api_base"):
        try:
            AlertSettings(**{name: url})
        except ValidationError as error:
            shown = any(url in one["msg"] for one in error.errors(include_input=False)) and url
            refused += not shown
    return refused == (3 if url.strip() else 1)  # an empty secret is none


def refused_on_test(url, resolver, recorder):
    alerts = AlertSettings.model_construct(slack_webhook_url=None, github_token="t")
    alerts.github_api_base = url
    settings = Settings.model_construct(alerts=alerts)
    (check,) = examine_addresses(settings, door(resolver, recorder))
    shown = url and url in check.sentence + check.fix
    return check.state != "ok" and not shown


def refused_on_send(url, resolver, recorder):
    transport = door(resolver, recorder)
    channels = (
        lambda: SlackChannel(url, transport=transport),
        lambda: HeartbeatChannel(url, transport=transport),
        lambda: GitHubChannel("t", "acme/books", api_base=url, transport=transport),
    )
    refused = 0
    for open_channel in channels:
        try:
            open_channel().send([an_alert()])
        except (ChannelRefusedError, ConfigurationError) as error:
            shown = url and url in error.message + error.remedy
            refused += not shown
        except OutcomeUnknownError:
            pass  # something was sent
    return refused == len(channels)


class Trap(BaseHTTPRequestHandler):
    """A service inside; whoever reaches it is remembered."""

    def do_GET(self):
        self.server.reached.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the secret of the inside")

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def trap():
    with LoopbackServer(("127.0.0.1", 0), Trap) as server:
        server.reached = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_nothing_inside_is_reached_on_save_test_or_send_and_honest_targets_always(
    trap, acceptance_line
):
    violations, tried = [], 0
    texts = [f"https://{host}/services/x" for host in INSIDE_HOSTS] + INSIDE_URLS
    for url in texts:
        recorder = Recorder()
        outcomes = {
            "save": refused_on_save(url),
            "test": refused_on_test(url, Resolver({}), recorder),
            "send": refused_on_send(url, Resolver({}), recorder),
        }
        tried += 3
        # Two spellings are names that only the resolver can judge; all others fall by their text.
        violations += [(url, stage) for stage, refused in outcomes.items() if not refused]
        violations += [(url, "connected", sent) for sent in recorder.sent]
    for host, answers in REBOUND.items():
        recorder, url = Recorder(), f"https://{host}/services/x"
        assert not refused_on_save(url), "what a name answers is not in its text"
        for stage, refused in (
            ("test", refused_on_test(url, Resolver({host: answers}), recorder)),
            ("send", refused_on_send(url, Resolver({host: answers}), recorder)),
        ):
            tried += 1
            violations += [] if refused else [(url, stage)]
        violations += [(url, "connected", sent) for sent in recorder.sent]
    honest = honest_targets(violations)
    tried += redirects(violations) + real_transport(trap, violations)
    vectors = len(texts) + len(REBOUND) + 6
    assert vectors >= 80
    acceptance_line(
        "R33",
        vectors=vectors,
        tried=tried,
        honest=honest,
        reached_inside=len(trap.reached),
        violations=violations,
    )


def honest_targets(violations):
    """Public targets pass at each stage, and the connection goes to the address that was checked."""
    urls = [
        "https://hooks.slack.com/services/T0/B0/x",
        "https://api.github.com",
        "https://ghe.acme-corp.example:8443/api/v3",
        "https://hc-ping.com/0a1b",
        "https://xn--bcher-kva.example/ping",
        f"https://{PUBLIC}/ping",
        f"https://[{PUBLIC_6}]/ping",
        "https://[64:ff9b::5db8:d70e]/ping",
    ]
    for url in urls:
        # A name that turns inside right after the check: asked once, so it changes nothing.
        host = httpx.URL(url).raw_host.decode()
        resolver, recorder = Resolver({host: [[PUBLIC], ["127.0.0.1"]]}), Recorder()
        if refused_on_save(url):
            violations.append((url, "honest target refused on save"))
        SlackChannel(url, transport=door(resolver, recorder)).send([an_alert()])
        ((address, name, header),) = recorder.sent
        if ip_address(address) in ip_network("127.0.0.0/8") or len(resolver.asked) > 1:
            violations.append((url, "went to", address, resolver.asked))
        if (name, header.split(":")[0].strip("[]")) != (host, host) and ":" not in host:
            violations.append((url, "asked as", name, header))
    return len(urls)


def redirects(violations):
    """A public target that sends us inside: nobody goes, and its body is not read."""
    tried = 0
    for status in (301, 302, 303, 307, 308):
        recorder = Recorder(
            lambda request, status=status: httpx.Response(
                status, headers={"Location": "http://169.254.169.254/latest"}, text="the inside"
            )
        )
        refused = refused_on_send("https://hooks.slack.com/x", Resolver({}), recorder)
        tried += 1
        if not refused or {sent[0] for sent in recorder.sent} != {PUBLIC}:
            violations.append((status, refused, recorder.sent))
    return tried


def real_transport(trap, violations):
    """The same through real sockets: a name that resolves to a living service inside."""
    port = trap.server_address[1]
    transport = OutboundTransport(resolve=lambda host, port: ["127.0.0.1"])
    for url in (f"http://127.0.0.1:{port}/x", "https://inside.example/x"):
        try:
            SlackChannel(url, transport=transport, timeout_seconds=5).send([an_alert()])
            violations.append((url, "sent"))
        except ChannelRefusedError:
            pass
    violations += [("reached", path) for path in trap.reached]
    return 2


def test_the_setting_for_tests_opens_this_machine_and_nothing_else_inside(trap):
    url = f"http://127.0.0.1:{trap.server_address[1]}/x"
    assert AlertSettings(slack_webhook_url=url, allow_loopback=True)
    open_door = OutboundTransport(allow_loopback=True, resolve=lambda host, port: ["10.0.0.1"])
    SlackChannel(url, transport=open_door).send([an_alert()])
    assert len(trap.reached) == 1
    for inside in ("https://10.0.0.1/x", "https://intranet.example/x", "http://localhost:1/x"):
        with pytest.raises(ChannelRefusedError):
            SlackChannel(inside, transport=open_door).send([an_alert()])


def test_no_proxy_of_the_environment_is_asked(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    recorder = Recorder()
    SlackChannel("https://hooks.slack.com/x", transport=door(Resolver({}), recorder)).send(
        [an_alert()]
    )
    assert recorder.sent[0][0] == PUBLIC
