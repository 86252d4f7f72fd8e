"""The account the sandbox plays unless told otherwise.

Source: PROTOCOL 9. The numbers to try things with are ours.
"""

from types import MappingProxyType
from typing import Final, NamedTuple

from tracker.protocol.passdata import PASS_FIELDS, SLOTS

from .behaviour import Behaviour
from .template import Template

API_KEY: Final = "qTFkykO9JTfahCOqJ0V2Wf5Cg1t8iWlZ"  # the docs' sample
SENDERS: Final = frozenset({"11111", "60856"})
DEFAULT_SENDER: Final = "60856"
COUNTRY_CODE: Final = 1
BLOCKED: Final = frozenset({"16505550199"})
SPIDS: Final = ("0001890", "0001570", "0001140")  # those of the docs' samples
HANDSETS: Final = ("motol7c", "iphone5", "nexus5")
TEMPLATES: Final = MappingProxyType(
    {
        "45633": Template(
            title="Event Ticket",
            dynamic=frozenset(field for field in PASS_FIELDS if not field.startswith("REL")),
            dynamic_slots=frozenset(SLOTS),
            needs_barcode_value=True,
        ),
        "35674": Template(
            title="Coupon",
            kind="Coupon",
            fixed=frozenset({"HEADERLABEL1", "HEADERVALUE1", "PRIMARYLABEL1", "PRIMARYVALUE1"}),
        ),
        "39755": Template(title="Flowers", has_pass=False),
        "40301": Template(title="Film", is_encoded=False),
    }
)


class Trial(NamedTuple):
    """A behaviour for every number that ends in `suffix`, so that a person can see each one."""

    suffix: str
    what: str
    behaviour: Behaviour


# Seven digits, and far from where series of test numbers begin: ordinary numbers, those of the
# fictional block 555-01xx among them, are delivered.
TRIALS: Final = (
    Trial("5559001", "delivered as a link (N202)", Behaviour(outcome="link")),
    Trial("5559002", "sent, never a receipt", Behaviour(outcome="no_receipt")),
    Trial("5559003", "expired", Behaviour(outcome="expired")),
    Trial("5559004", "rejected by the carrier", Behaviour(outcome="rejected")),
    Trial("5559005", "not supported by the handset", Behaviour(outcome="unsupported")),
    Trial("5559006", "could not be sent (E101)", Behaviour(outcome="failed")),
    Trial("5559007", "sent, then failed (E102)", Behaviour(outcome="failed_late")),
    Trial("5559008", "discovery without answer", Behaviour(outcome="ddm_timeout")),
    Trial("5559009", "discovery failed (E501)", Behaviour(outcome="ddm_failed")),
    Trial("5559010", "discovery undelivered (E502)", Behaviour(outcome="ddm_undelivered")),
    Trial("5559011", "postbacks before the answer", Behaviour(postback_before_answer=True)),
    Trial("5559012", "every postback twice", Behaviour(duplicate=True)),
    Trial("5559013", "receipt before N101", Behaviour(reorder=True)),
    Trial("5559014", "xsi dialect", Behaviour(dialect="xsi")),
    Trial("5559015", "successor's dialect", Behaviour(dialect="sinch")),
    Trial("5559016", "legacy dialect", Behaviour(dialect="legacy")),
    Trial("5559017", "postbacks as form field xml", Behaviour(form_encoded=True)),
    Trial("5559018", "unreadable answer", Behaviour(answer="garbage")),
    Trial("5559019", "answer with HTTP status 500", Behaviour(answer="http500")),
    Trial("5559020", "connection closed, no answer", Behaviour(answer="close")),
    Trial("5559021", "answer after a minute", Behaviour(answer="slow")),
    Trial("5559022", "Success without TRACKINGID", Behaviour(answer="no_tracking_id")),
    Trial("5559023", "refused, internal error (E503)", Behaviour(answer="E503")),
    Trial("5559024", "E503 once, then accepted", Behaviour(answer="E503", answer_times=1)),
    Trial("5559025", "refused, too fast (E106)", Behaviour(answer="E106")),
    Trial("5559026", "refused, billing (E713)", Behaviour(answer="E713")),
    Trial("5559027", "refused, operator (E628)", Behaviour(answer="E628")),
    Trial("5559028", "link that failed (E202)", Behaviour(outcome="link_failed")),
    Trial("5559029", "legacy, delivered as a link", Behaviour(outcome="link", dialect="legacy")),
    Trial(
        "5559030", "delivered, then N801, E999 and N333", Behaviour(also=("N801", "E999", "N333"))
    ),
)
BEHAVIOURS: Final = MappingProxyType({trial.suffix: trial.behaviour for trial in TRIALS})
