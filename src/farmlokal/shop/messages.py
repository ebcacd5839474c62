"""What the pages say, in every language: one table, one line a message.

A message is a `str.format` pattern. There are no rules of plural beyond one and other: the three languages
need no more.
"""

from collections.abc import Mapping
from datetime import date

LANGUAGES = {"en": "English", "hi": "हिन्दी", "ml": "മലയാളം"}
"""Languages by code, each in its own name, in the order of the columns below."""

MESSAGES: Mapping[str, tuple[str, str, str]] = {
    "title": ("Produce from farmers near you", "आपके पास के किसानों की उपज", "അടുത്തുള്ള കർഷകരുടെ വിളകൾ"),
    "skip": ("Skip to the products", "सीधे उत्पादों पर जाएं", "ഉൽപ്പന്നങ്ങളിലേക്ക് പോകുക"),
    "language": ("Language", "भाषा", "ഭാഷ"),
    "api": ("For developers: the API", "डेवलपर के लिए: API", "ഡെവലപ്പർമാർക്ക്: API"),
    "search": ("Search", "खोजें", "തിരയുക"),
    "search_hint": ("Tomato, rice, mango", "टमाटर, चावल, आम", "തക്കാളി, അരി, മാങ്ങ"),
    "show": ("Show", "दिखाएं", "കാണിക്കുക"),
    "clear": ("Clear all", "सब हटाएं", "എല്ലാം മായ്ക്കുക"),
    "filters": ("Filters", "फ़िल्टर", "ഫിൽട്ടറുകൾ"),
    "category": ("Category", "श्रेणी", "വിഭാഗം"),
    "state": ("State", "राज्य", "സംസ്ഥാനം"),
    "all_states": ("All states", "सभी राज्य", "എല്ലാ സംസ്ഥാനങ്ങളും"),
    "district": ("District", "ज़िला", "ജില്ല"),
    "all_districts": ("All districts", "सभी ज़िले", "എല്ലാ ജില്ലകളും"),
    "price": ("Price", "मूल्य", "വില"),
    "price_range": ("Price of a pack in ₹", "एक पैक का मूल्य, ₹ में", "ഒരു പാക്കിന്റെ വില, ₹"),
    "min_price": ("Lowest price", "न्यूनतम मूल्य", "കുറഞ്ഞ വില"),
    "max_price": ("Highest price", "अधिकतम मूल्य", "കൂടിയ വില"),
    "organic": ("Organic", "जैविक", "ജൈവം"),
    "organic_only": ("Organic only", "केवल जैविक", "ജൈവം മാത്രം"),
    "in_stock": ("In stock only", "केवल उपलब्ध", "സ്റ്റോക്കുള്ളവ മാത്രം"),
    "place": ("Where you are", "आप कहां हैं", "നിങ്ങൾ എവിടെയാണ്"),
    "postcode": ("Postcode", "पिन कोड", "പിൻകോഡ്"),
    "near_me": ("Near me", "मेरे पास", "എന്റെ അടുത്ത്"),
    "your_place": ("your place", "आपके स्थान", "നിങ്ങളുടെ സ്ഥലം"),
    "radius": ("Within", "दूरी", "ദൂരപരിധി"),
    "anywhere": ("any distance", "कोई भी दूरी", "ഏതു ദൂരവും"),
    "km": ("{number} km", "{number} किमी", "{number} കി.മീ."),
    "seller": ("Seller", "विक्रेता", "വിൽപ്പനക്കാരൻ"),
    "sort": ("Sort by", "क्रम", "ക്രമം"),
    "sort_": ("What suits best", "जो सबसे ठीक हो", "ഏറ്റവും യോജിച്ചത്"),
    "sort_-createdAt": ("Newest first", "नए पहले", "പുതിയവ ആദ്യം"),
    "sort_relevance": ("Best match", "सबसे मेल खाते", "കൂടുതൽ യോജിച്ചവ"),
    "sort_distance": ("Nearest first", "पास के पहले", "അടുത്തുള്ളവ ആദ്യം"),
    "sort_price": ("Price, low to high", "मूल्य, कम से ज़्यादा", "വില, കുറവിൽ നിന്ന്"),
    "sort_-price": ("Price, high to low", "मूल्य, ज़्यादा से कम", "വില, കൂടുതലിൽ നിന്ന്"),
    "sort_unitPrice": ("Price per kg, litre, piece", "मूल्य प्रति किलो, लीटर, नग", "കിലോ, ലിറ്റർ, എണ്ണം വില"),
    "sort_name": ("Name (English)", "नाम (अंग्रेज़ी)", "പേര് (ഇംഗ്ലീഷ്)"),
    "sort_-harvestedOn": ("Latest harvest", "ताज़ी फ़सल पहले", "പുതിയ വിളവ് ആദ്യം"),
    "products": ("Products", "उत्पाद", "ഉൽപ്പന്നങ്ങൾ"),
    "count_one": ("1 product", "1 उत्पाद", "1 ഉൽപ്പന്നം"),
    "count_other": ("{number} products", "{number} उत्पाद", "{number} ഉൽപ്പന്നങ്ങൾ"),
    "count_many": ("Too many products to count", "उत्पाद गिनती से अधिक", "എണ്ണിത്തീരാത്തത്ര ഉൽപ്പന്നങ്ങൾ"),
    "none": (
        "Nothing here. Try with fewer filters.",
        "यहां कुछ नहीं। कम फ़िल्टर से देखें।",
        "ഇവിടെ ഒന്നുമില്ല. ഫിൽട്ടറുകൾ കുറച്ചു നോക്കൂ.",
    ),
    "more": ("More products", "और उत्पाद", "കൂടുതൽ ഉൽപ്പന്നങ്ങൾ"),
    "earlier": ("Earlier products", "पिछले उत्पाद", "മുമ്പത്തെ ഉൽപ്പന്നങ്ങൾ"),
    "loaded": ("{number} more products", "{number} और उत्पाद", "{number} ഉൽപ്പന്നങ്ങൾ കൂടി"),
    "failed": (
        "That did not work. Try again in a moment.",
        "यह नहीं हो पाया। थोड़ी देर में फिर कोशिश करें।",
        "അത് നടന്നില്ല. അൽപ്പസമയം കഴിഞ്ഞ് വീണ്ടും ശ്രമിക്കൂ.",
    ),
    "no_position": (
        "Your position cannot be told. Give a postcode.",
        "आपका स्थान पता नहीं चला। पिन कोड दें।",
        "നിങ്ങളുടെ സ്ഥാനം അറിയാനായില്ല. പിൻകോഡ് നൽകൂ.",
    ),
    "sold_out": ("Sold out", "बिक गया", "തീർന്നു"),
    "left": ("{quantity} left", "{quantity} बचा है", "{quantity} ബാക്കി"),
    "harvested": ("Harvested {day}", "कटाई {day}", "വിളവെടുത്തത് {day}"),
    "away": ("{number} km away", "{number} किमी दूर", "{number} കി.മീ. അകലെ"),
    "map": ("Sellers near {place}", "{place} के पास के विक्रेता", "{place}: അടുത്തുള്ള വിൽപ്പനക്കാർ"),
    "map_says": (
        "{number} sellers within {radius} km, north up.",
        "{radius} किमी में {number} विक्रेता, उत्तर ऊपर।",
        "{radius} കി.മീ. ഉള്ളിൽ {number} വിൽപ്പനക്കാർ, വടക്ക് മുകളിൽ.",
    ),
    "all_products": ("All products", "सभी उत्पाद", "എല്ലാ ഉൽപ്പന്നങ്ങളും"),
    "pack": ("Pack", "पैक", "പാക്ക്"),
    "unit_price": ("Unit price", "प्रति इकाई मूल्य", "യൂണിറ്റ് വില"),
    "stock": ("In stock", "उपलब्ध", "സ്റ്റോക്ക്"),
    "harvest": ("Harvested", "कटाई", "വിളവെടുപ്പ്"),
    "best_before": ("Best before", "इससे पहले उत्तम", "ഇതിനു മുമ്പ് ഉത്തമം"),
    "commodity": ("Commodity", "जिंस", "ചരക്ക്"),
    "variety": ("Variety", "किस्म", "ഇനം"),
    "grade": ("Grade", "श्रेणी (ग्रेड)", "ഗ്രേഡ്"),
    "certification": ("Certification", "प्रमाणन", "സാക്ഷ്യപത്രം"),
    "other_names": ("Other names", "अन्य नाम", "മറ്റു പേരുകൾ"),
    "history": ("Price history", "मूल्य का इतिहास", "വിലയുടെ ചരിത്രം"),
    "history_says": (
        "Price of a pack from {first} to {last}: between {low} and {high}.",
        "{first} से {last} तक एक पैक का मूल्य: {low} और {high} के बीच।",
        "{first} മുതൽ {last} വരെ ഒരു പാക്കിന്റെ വില: {low}, {high} എന്നിവയ്ക്കിടയിൽ.",
    ),
    "no_history": ("No price is on record yet.", "अभी कोई मूल्य दर्ज नहीं।", "ഇതുവരെ വില രേഖപ്പെടുത്തിയിട്ടില്ല."),
    "mandi": ("Mandi price", "मंडी भाव", "ചന്തവില"),
    "mandi_within": (
        "Within the mandi's range of {day}: {low} to {high}.",
        "{day} के मंडी भाव के भीतर: {low} से {high}।",
        "{day}-ലെ ചന്തവിലയ്ക്കുള്ളിൽ: {low} മുതൽ {high} വരെ.",
    ),
    "mandi_below": (
        "Below the mandi's range of {day}: {low} to {high}.",
        "{day} के मंडी भाव से कम: {low} से {high}।",
        "{day}-ലെ ചന്തവിലയേക്കാൾ കുറവ്: {low} മുതൽ {high} വരെ.",
    ),
    "mandi_above": (
        "Above the mandi's range of {day}: {low} to {high}.",
        "{day} के मंडी भाव से ज़्यादा: {low} से {high}।",
        "{day}-ലെ ചന്തവിലയേക്കാൾ കൂടുതൽ: {low} മുതൽ {high} വരെ.",
    ),
    "numbers": ("As a table", "तालिका में", "പട്ടികയായി"),
    "day": ("Day", "दिन", "ദിവസം"),
    "fault": ("We could not use: {names}.", "इसका उपयोग नहीं हो सका: {names}।", "ഇത് ഉപയോഗിക്കാനായില്ല: {names}."),
    "unknown_postcode": (
        "We do not know the postcode {postcode}.",
        "पिन कोड {postcode} हमें नहीं पता।",
        "പിൻകോഡ് {postcode} ഞങ്ങൾക്ക് അറിയില്ല.",
    ),
    "address": ("this address", "यह पता", "ഈ വിലാസം"),
    "not_found": ("This product is not here.", "यह उत्पाद यहां नहीं है।", "ഈ ഉൽപ്പന്നം ഇവിടെയില്ല."),
    "unavailable": (
        "The shop cannot answer now. Try again in a moment.",
        "दुकान अभी उत्तर नहीं दे सकती। थोड़ी देर में फिर कोशिश करें।",
        "കടയ്ക്ക് ഇപ്പോൾ മറുപടി നൽകാനാവില്ല. അൽപ്പസമയം കഴിഞ്ഞ് ശ്രമിക്കൂ.",
    ),
    "unit_kg": ("kg", "किलो", "കിലോ"),
    "unit_g": ("g", "ग्राम", "ഗ്രാം"),
    "unit_litre": ("litre", "लीटर", "ലിറ്റർ"),
    "unit_ml": ("ml", "मिली", "മി.ലി."),
    "unit_piece": ("piece", "नग", "എണ്ണം"),
    "unit_dozen": ("dozen", "दर्जन", "ഡസൻ"),
    "unit_bunch": ("bunch", "गुच्छा", "കെട്ട്"),
    "months": (
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
        "जन॰ फ़र॰ मार्च अप्रैल मई जून जुल॰ अग॰ सित॰ अक्टू॰ नव॰ दिस॰",
        "ജനു ഫെബ്രു മാർ ഏപ്രി മേയ് ജൂൺ ജൂലൈ ഓഗ സെപ് ഒക്ടോ നവം ഡിസം",
    ),
}


class Words:
    """The messages of one language, and how it writes amounts and days."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self._column = tuple(LANGUAGES).index(lang)
        self._months = self("months").split()

    def __call__(self, message: str, **values: object) -> str:
        """A message, filled in."""
        return MESSAGES[message][self._column].format(**values)

    def day(self, iso: str) -> str:
        """``2026-07-24`` as 24 Jul 2026."""
        on = date.fromisoformat(iso)
        return f"{on.day} {self._months[on.month - 1]} {on.year}"

    def quantity(self, value: str, unit: str) -> str:
        """``0.5`` and ``kg`` as 0.5 kg."""
        return f"{value} {self('unit_' + unit)}"


def grouped(digits: str) -> str:
    """Digits in India's groups: ``1234567`` is ``12,34,567``."""
    head, last = digits[:-3], digits[-3:]
    pairs = [head[max(at - 2, 0) : at] for at in range(len(head), 0, -2)]
    return ",".join([*reversed(pairs), last])


def rupees(amount: str) -> str:
    """``3600.00`` as ₹3,600; paise where there are some."""
    whole, _, paise = amount.partition(".")
    return f"₹{grouped(whole)}" if paise in ("", "00") else f"₹{grouped(whole)}.{paise}"
