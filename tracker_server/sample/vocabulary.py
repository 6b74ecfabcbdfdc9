"""The words of the sample workspace: products, people, and texts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """A fictitious product; story names are made of its words."""

    name: str
    parts: tuple[str, ...]
    """The parts of the product, one project each."""
    pitch: str
    repository: str
    roles: tuple[str, ...]
    wishes: tuple[str, ...]
    """What a role can do with a feature."""
    places: tuple[str, ...]
    """Where in the product a feature is seen."""
    things: tuple[str, ...]
    epics: tuple[str, ...]
    """In the order of work."""


PRODUCTS = (
    Product(
        name="Speichenwerk",
        parts=("Rider app", "Stations & fleet", "Billing", "City portal"),
        pitch="Bike sharing for small towns: 1,200 bikes, 140 stations, one key.",
        repository="speichenwerk",
        roles=("Rider", "Mechanic", "City planner", "Guest without an account"),
        wishes=(
            "unlock a bike by QR code",
            "see how many bikes are left at a station",
            "reserve a bike for ten minutes",
            "pause a ride at the bakery",
            "report a flat tyre with a photo",
            "end a ride outside of a station for a fee",
            "book a cargo bike for Saturday",
            "split the cost of a ride with a friend",
            "see the year's kilometres",
            "find a station that still has room",
            "buy a day pass as a gift",
            "take over a bike from someone else",
            "follow a repair until the bike is back",
            "choose a quiet route",
        ),
        places=("on the map", "from the lock screen", "in Zürich", "without a network", "at night"),
        things=("station list", "ride receipt", "battery gauge", "map tile", "lock", "day pass"),
        epics=(
            "First ride",
            "Reservations",
            "Cargo bikes",
            "Repairs",
            "Monthly passes",
            "Company accounts",
            "Winter mode",
        ),
    ),
    Product(
        name="Praxis am Markt",
        parts=("Online booking", "Front desk", "Patient letters", "Lab link"),
        pitch="Appointments, waiting room and letters for a clinic with eleven doctors.",
        repository="praxis",
        roles=("Patient", "Doctor", "Receptionist", "Parent of a patient"),
        wishes=(
            "book an appointment for a check-up",
            "move an appointment to next week",
            "get a reminder the evening before",
            "join the waiting list for an earlier slot",
            "fill in the questionnaire at home",
            "see who is in the waiting room",
            "block a room for small surgery",
            "send a prescription to the pharmacy",
            "print the day's schedule",
            "book for a second child right away",
            "cancel with one tap",
            "find the notes of the last visit",
            "mark a patient as arrived",
        ),
        places=("on the phone", "in the lobby kiosk", "in large print", "in Türkçe", "after hours"),
        things=("calendar", "reminder", "questionnaire", "referral letter", "room plan", "invoice"),
        epics=(
            "Booking without a call",
            "Reminders",
            "Waiting room",
            "Questionnaires",
            "E-prescriptions",
            "Family accounts",
            "Video visits",
        ),
    ),
    Product(
        name="Teehaus Lindenblatt",
        parts=("Web shop", "Warehouse", "Subscriptions", "Market stalls"),
        pitch="Loose tea, honest descriptions, delivered within three days.",
        repository="lindenblatt",
        roles=("Shopper", "Packer", "Shop owner", "Subscriber"),
        wishes=(
            "filter teas by caffeine",
            "pay with a gift card",
            "see when a parcel arrives",
            "order the same box again",
            "rate a tea with a few words",
            "add a greeting card",
            "pick up the parcel at the market stall",
            "print packing slips by shelf",
            "skip a month",
            "compare two teas side by side",
            "see the price per 100 g",
            "return an unopened tin",
            "reserve the spring harvest",
        ),
        places=("at checkout", "on the product page", "in the newsletter", "on a small phone"),
        things=("basket", "packing slip", "gift card", "price label", "stock count", "voucher"),
        epics=(
            "Checkout",
            "Search that finds",
            "Gift cards",
            "Tasting notes",
            "Subscriptions",
            "Wholesale",
            "Spring harvest",
        ),
    ),
    Product(
        name="Lesestube",
        parts=("Catalogue", "Lending", "Reading rooms", "Kids' corner"),
        pitch="The lending system of forty village libraries.",
        repository="lesestube",
        roles=("Reader", "Librarian", "Teacher", "Volunteer"),
        wishes=(
            "renew all loans at once",
            "put a hold on a book that is out",
            "scan a shelf with the phone",
            "borrow for a whole school class",
            "see what was returned today",
            "find books like the last one",
            "book a table in the reading room",
            "pay a fee by card",
            "send a book to another village",
            "keep a list of books to read",
            "export the annual statistics",
            "hide the reading history",
        ),
        places=("at the desk", "from home", "on the terminal", "with a screen reader", "in bulk"),
        things=("loan list", "barcode", "hold queue", "late notice", "shelf mark", "reader card"),
        epics=(
            "Self-service",
            "Holds",
            "School classes",
            "Exchange between villages",
            "Reading rooms",
            "Statistics",
            "E-books",
        ),
    ),
    Product(
        name="Gartenplan",
        parts=("Planner", "Community", "Weather & alerts", "Seed shop"),
        pitch="An allotment planner that knows the last frost of every valley.",
        repository="gartenplan",
        roles=("Gardener", "Neighbour", "Club chair", "Seed grower"),
        wishes=(
            "plan the beds for next year",
            "get a frost warning by noon",
            "swap seedlings with a neighbour",
            "see which crops go well together",
            "note the first harvest of each bed",
            "share a watering rota",
            "find out what is eating the cabbage",
            "order seeds for the missing beds",
            "print the plan for the shed door",
            "compare this spring with the last",
            "lend out a wheelbarrow",
            "mark a bed as fallow",
        ),
        places=("on a tablet", "in the greenhouse view", "for shared beds", "in heavy rain"),
        things=("bed plan", "frost alert", "rota", "seed list", "harvest log", "compost timer"),
        epics=(
            "Beds",
            "Crop rotation",
            "Frost and rain",
            "Sharing",
            "Seed orders",
            "Club meetings",
            "Harvest book",
        ),
    ),
)

PEOPLE = (
    ("Nora Ahlgren", 0.0, 1.0),
    ("Jonas Weiß", 0.0, 1.0),
    ("Amara Okafor", 0.0, 1.0),
    ("Søren Dahl", 0.0, 0.62),
    ("Mei-Lin Chao", 0.0, 1.0),
    ("Zoë Brückner", 0.0, 0.38),
    ("Tomás Peña", 0.24, 1.0),
    ("Priya Raman", 0.45, 1.0),
    ("Liam O'Brien", 0.0, 0.81),
    ("Žofie Nováková", 0.0, 1.0),
    ("Yusuf Demir", 0.7, 1.0),
    ("Ida Lindqvist", 0.0, 1.0),
)
"""Names, with the shares of the two years at which they join and leave; the first is `me`."""

LABELS = ("ux", "api", "tech debt", "quick win", "customer", "needs design", "speed", "a11y")

REVIEW_TYPES = ("Code", "Design", "Test (QA)")

FAULTS = (
    "shows yesterday's state",
    "is cut off",
    "comes twice",
    "disappears after a reload",
    "is not translated",
    "takes nine seconds",
    "shows “NaN”",
    "jumps to the top, then back",
    "loses the last character",
)

CONDITIONS = (
    "when the name has an umlaut",
    "on older iPhones",
    "right after midnight",
    "with two tabs open",
    "if the clock changes to summer time",
    "for viewers",
    "with more than 99 entries",
    "after logging out, and in again",
)

CHORES = (
    "Upgrade the library behind the {thing}",
    "Move the {thing} job to the new queue",
    "Delete the old {thing} tables",
    "Write down how the {thing} is deployed",
    "Rotate the keys that the {thing} uses",
    "Make the {thing} tests run in parallel",
    "Alert when the {thing} job has not run",
    "Measure how slow the {thing} is, page by page",
)

REASONS = (
    "Three customers asked for it last month, one of them *very* politely.",
    "Today this takes a phone call, and nobody likes phone calls.",
    "Support answers this question **about ten times a week**.",
    "We promised it in the last release notes.",
    "It was the first thing that people tried in the usability test 🙂.",
    "Competitors have it; ours should be simpler.",
    "Without it the numbers in the weekly report are a guess.",
)

CRITERIA = (
    "works with the keyboard alone",
    "the {thing} is updated at once",
    "an error says what to do, not what went wrong inside",
    "nothing changes for people who do not use it",
    "a name such as “Müller-Lüdenscheidt” fits",
    "the text fits on a 320 px screen",
    'a comma, a "quote" and a semicolon; survive the export',
    "it is logged who did it, and when",
    "there is a way back 🔙",
    "loads in under a second with 2,000 entries",
)

STEPS = (
    "1. open the {thing}\n2. go back\n3. open it again",
    "1. log in as a viewer\n2. look for the {thing}\n3. wait ⏳",
    "1. switch the language to français\n2. open the {thing}",
)

SCRIPT = (
    "Someone typed `<script>alert('{thing}')</script>` into the search, and it *ran*.\n\n"
    "Expected: the text, as text."
)

TASKS = (
    "Sketch it",
    "Talk to support",
    "Write the migration",
    "Endpoint",
    "Screen",
    "Empty state",
    "Translate (de, fr, it)",
    "Test with 200 % zoom",
    "Update the help page",
    "Tell the pilot customers",
    "Remove the feature flag",
    "Log it",
)

BLOCKERS = (
    "Waiting for the new certificates",
    "Needs #{story} first",
    "Design for the {thing} is not done",
    "The payment provider has not answered yet",
    "Legal wants to read the text",
)

REMARKS = (
    "Looks good to me 👍",
    "Could we call it something other than “{thing}”? Nobody in the test understood the word.",
    "@{username} can you have a look at the edge case we talked about?",
    "I split off the part about the {thing}, it is bigger than it looked.",
    "Tried it on staging:\n\n* with 10 entries: fine\n* with 10,000 entries: also fine\n* offline: "
    "the spinner never stops",
    "Same on my phone, see the screenshot.",
    "Agreed in the meeting: we do the simple version now, and look at the numbers in four weeks.",
    "```\nERROR 42: {thing} is null, but should not be\n  at render (app.js:1:1337)\n```\nThat is "
    "all there is in the log.",
    "Danke, das ging schnell! Für Grüße aus der Filiale bin ich zuständig 😄",
    "Is this still needed?",
    'Yes. They asked again yesterday, "when, please?"',
    "Docs: https://wiki.example.org/{repository}/{number}, section 3; numbers, as always, below.",
    "Moving this up, the pilot starts on Monday.",
    "Deployed to staging, build {number}.",
)

REJECTIONS = (
    "Not quite: the {thing} still shows the old value until I reload.",
    "Works in Firefox, not in Safari 😕",
    "Rejected, the criteria say “a way back” and there is none.",
    "The text is cut off in German, see the screenshot.",
)

EPIC_REMARKS = (
    "Numbers of the first week: 214 people tried it, 9 wrote to us, 7 of them happy.",
    "Scope is settled: no import, no print. Everything else stays.",
    "Next: talk to the pilot customers about what is missing.",
)

COMMIT_MESSAGES = (
    "Read the {thing} once",
    "Guard against an empty {thing}",
    "Move the {thing} out of the way",
    "Fix the tests, again",
    "Say it in plain words",
)
