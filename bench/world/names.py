"""Hand lists: sites, given names, surnames, customers and part families. Seeds choose from them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    code: str
    town: str
    country: str
    what: str


SITES = (
    Site("AAR", "Aarhus", "Denmark", "headquarters"),
    Site("ANR", "Antwerp", "Belgium", "service base"),
    Site("DTM", "Dortmund", "Germany", "plant"),
    Site("GNT", "Ghent", "Belgium", "parts hub"),
    Site("KSL", "Kassel", "Germany", "service base"),
    Site("LEE", "Leeds", "United Kingdom", "sales and service"),
    Site("LIL", "Lille", "France", "service base"),
    Site("LYS", "Lyon", "France", "engineering"),
    Site("ODE", "Odense", "Denmark", "plant"),
    Site("POZ", "Poznań", "Poland", "software and test"),
    Site("SWI", "Swindon", "United Kingdom", "parts hub"),
    Site("WRO", "Wrocław", "Poland", "shared services"),
)
ANNEX_SITES = ("AAR", "DTM", "GNT", "LYS", "POZ")

FIRST_NAMES = tuple(
    """Agnieszka Aisha Albrecht Amélie Anders Anneke Bartosz Beatrix Camille Carsten Chidi Cillian Dagmar Daphne Dorota
    Edda Eleanor Emeka Esben Fatima Femke Florian Freja Gareth Gitte Grzegorz Hamza Hanneke Harriet Henrik Ifeoma Ilse
    Imran Ingrid Jadwiga Jasper Jelle Joanna Jonas Kacper Karim Katrijn Kirsten Lars Latifa Leonie Lieven Ludovic Magda
    Malin Marek Margot Mathilde Mehmet Nadia Niamh Nikolaj Odile Olena Oskar Pauline Pernille Pieter Quentin Rasmus
    Renske Roksana Ruben Sabine Saoirse Selma Siobhán Solveig Stijn Tadeusz Tariq Thandi Tobias Ulrike Valérie Veerle
    Viggo Wiebke Wouter Xavier Yasmin Yvonne Zofia""".split()
)
LAST_NAMES = tuple(
    """Abernathy Achterberg Adeyemi Ainsworth Andersson Bakkegaard Balogun Barczyk Beaumont Bielski Bødker Brandt
    Brouckaert Carlisle Chaudhry Claes Cresswell Czerny Dahlgaard Delacroix Demir Deschamps Dijkman Drabik Eastwood
    Ebner Eriksen Fairbank Fontaine Friis Gadomski Gerritsen Goossens Greaves Grünwald Haddad Halvorsen Hartmann
    Haugaard Hollis Idowu Iversen Jagielski Janssens Jeppesen Kaminska Kessler Kjærgaard Kowalczuk Kruse Lacroix
    Lambrecht Laursen Leclercq Lindqvist Maertens Malinowska Marchetti Mensah Moreau Mortensen Nowicki Nwosu Oakley
    Obi Okafor Østergaard Paszkowska Peeters Pilgaard Quist Rahman Ravn Renard Riedel Rosendahl Sabet Sadowska Schrader
    Sinclair Skovgaard Szulc Thorne Tierney Trudel Uhlig Vandamme Verhaegen Vestergaard Voss Wadsworth Wagner Wernicke
    Whitlock Wilczek Yıldız Zawadzka Zeller""".split()
)
CUSTOMERS = tuple(
    line.strip()
    for line in """Norrvik Foods|Brandsborg Dairy|Bracken Retail|Harcourt Pharma Wholesale|Ostrava Tyres|Lund & Vang Books
    Meridiaan Logistiek|De Kempen Groothandel|Fluvia Textiles|Aldgate Spirits|Pomorze Cold Store|Wiesental Möbel
    Rheinfurt Parts Depot|Sauerland Tools|Garonne Vins|Atelier Vauban|Hauts Champs Coopérative|Skagerrak Seafood
    Fynboens Apoteker|Jutland Garden Supply|Pennine Outdoor|Thornbury Toys|Severn Valley Press|Kestrel Motor Factors
    Wielkopolska Drogerie|Tatra Sport|Odra Electronics|Scheldt Marine Stores|Leie Fashion|Brugse Bakkers Unie
    Hansemark Drinks|Fulda Fasteners|Isère Ski Hire|Mirabel Cosmetics|Nordlys Lighting|Storebro Paper
    Cotswold Cheese Exchange|Eastgate Uniforms|Silesia Paints|Warta Home|Limburg Seeds|Zeebrug Coffee
    Holstein Optics|Altmark Feed|Camargue Rice|Rhône Medical|Vejle Hardware|Himmerland Bikes""".replace(
        "\n", "|"
    ).split("|")
)
MACHINES = {
    "TS": "Tern S2 shuttle",
    "TX": "Tern S3 shuttle",
    "SL": "Sandling pallet shuttle",
    "HC": "Halyard line controller",
    "CW": "Corwen tray lift",
    "PL": "Plover pouch sorter",
}
PARTS = {
    "BR": ("brake", ("relay", "pad set", "coil", "lever", "spring kit", "sensor ring", "rotor", "bracket")),
    "SN": ("sensor", ("photo-eye", "reflector", "range head", "cable 2 m", "cable 5 m", "clamp", "lens", "gateway")),
    "PN": ("pneumatic", ("valve block", "hose set", "pusher seal", "regulator", "silencer", "fitting kit", "cylinder",
                         "pressure switch")),
    "DR": ("drive", ("motor 90 W", "motor 140 W", "gearbox", "encoder", "belt pulley", "fan", "terminal plug",
                     "heat sink")),
    "GD": ("guard", ("panel grey", "panel yellow", "latch", "hinge pair", "post", "foot", "window", "key switch")),
}  # fmt: skip
JOBS = ("field technician", "service planner", "sales engineer", "controls engineer", "storekeeper", "buyer",
        "site accountant", "test engineer", "team lead")  # fmt: skip
TIERS = ("Essential", "Plus", "Prime", "Round-the-Clock")
USER_ROLES = ("service desk agent", "sales engineer", "field technician", "site accountant", "HR generalist",
              "shift lead", "account manager", "buyer", "software engineer", "team assistant")  # fmt: skip
