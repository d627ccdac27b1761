"""The shipped probe texts, by kind. Written for this purpose: none stands in a public corpus as a whole.

Whoever changes a text, or the random strings of `prompts`, changes `VERSION` and what the tests hold it to.
"""

from __future__ import annotations

from collections.abc import Mapping

VERSION = "2"
"""Of the whole set; version 1 ended with the Russian texts."""

TEXTS: Mapping[str, tuple[str, ...]] = {
    "prose": (
        (
            "The ferry left the island an hour late because the captain had refused to sail until the fog lifted "
            "from the harbour and the last crates of lemons were tied down under the canvas."
        ),
        (
            "My grandmother kept bees behind the shed, and every September she would carry the heavy frames into "
            "the kitchen, cut the wax with a hot knife and let the honey run slowly into a tin bucket."
        ),
        (
            "A glacier moves even where it seems to stand still: the ice at its base melts under pressure, "
            "slides over the rock and freezes again, carrying stones that scratch long lines into the valley "
            "floor."
        ),
        (
            "The committee agreed that the old bridge should be closed to lorries at once, that the council "
            "would pay for an inspection before winter, and that nobody would speak to the newspapers until the "
            "engineer replied."
        ),
        (
            "When the violin maker died, his apprentice found forty unfinished instruments in the attic, each "
            "with a small paper label that named the tree, the year it was felled and the customer who never "
            "came back."
        ),
        (
            "Yeast turns sugar into alcohol only while there is little oxygen; give the same cells plenty of air "
            "and they grow faster, make far less alcohol and leave the brewer with a thin and disappointing beer."
        ),
        (
            "To repair a puncture, turn the bicycle over, loosen the wheel, lift one side of the tyre off the "
            "rim with two levers, pull out the tube, find the hole under water and roughen the rubber before "
            "gluing the patch."
        ),
        (
            "Nobody in the courtroom moved while the interpreter repeated the question, because the witness had "
            "begun to answer before she finished and now sat with both hands flat on the table, looking at the "
            "clock."
        ),
        (
            '"Did you lock the garden gate?" asked Nora. "I thought you had the key," said her brother, "and '
            'anyway the dog is asleep." She sighed, took the torch from the hook and went out into the rain '
            "without a coat."
        ),
    ),
    "code": (
        (
            "def running_mean(values, window):\n    total = 0.0\n    means = []\n    for index, value in "
            "enumerate(values):\n        total += value\n        if index >= window:\n            total -= "
            "values[index - window]\n        means.append(total / min(index + 1, window))\n    return means\n"
        ),
        (
            "for (int row = 0; row < height; row++) {\n    for (int column = 0; column < width; column++) "
            "{\n        pixels[row * width + column] = blend(front, back, row, column);\n    }\n}\nreturn pixels; // "
            "caller frees it\n"
        ),
        (
            "SELECT author, COUNT(*) AS books FROM loans JOIN titles ON titles.id = loans.title WHERE loans.year "
            "> 2009 GROUP BY author HAVING COUNT(*) >= 3 ORDER BY books DESC LIMIT 20;"
        ),
        (
            "class Queue:\n    def __init__(self, limit):\n        self.items = []\n        self.limit = limit\n\n    "
            "def push(self, item):\n        if len(self.items) == self.limit:\n            raise ValueError('queue "
            "is full')\n        self.items.append(item)\n"
        ),
        (
            "<section id='opening-hours'>\n  <h2>Opening hours</h2>\n  <p class='note'>Closed on Mondays and in "
            "August.</p>\n  <ul>\n    <li>Tuesday to Friday: nine to five</li>\n    <li>Saturday: ten to one</li>\n  "
            "</ul>\n</section>\n"
        ),
    ),
    "lists and facts": (
        (
            "Shopping for the week: two loaves of rye bread, a dozen eggs, butter, spinach, red onions, a small "
            "bag of rice, olive oil, black pepper, washing powder, candles, and stamps for the letter to Lisbon."
        ),
        (
            "Steps before leaving:\n1. close every window\n2. empty the fridge\n3. turn off the water\n4. give the "
            "spare key to the neighbour\n5. write the train number on the card\n6. check the oven once more\n"
        ),
        (
            "Planets in order of distance from the Sun are Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus "
            "and Neptune; of these Jupiter is the largest, Mercury the smallest, and Venus the hottest at its "
            "surface."
        ),
        (
            "Between 1990 and 2005 the village shrank from 1,240 people to 867, while the number of houses rose "
            "from 402 to 431, so that the average household fell from 3.1 persons to almost exactly 2.0."
        ),
    ),
    "numbers": (
        (
            "12 + 7 = 19, 19 + 8 = 27, 27 + 9 = 36, 36 + 10 = 46, 46 + 11 = 57, 57 + 12 = 69, 69 + 13 = 82, 82 + "
            "14 = 96"
        ),
        (
            "Invoice 4471: 3 boxes at 18.50 each make 55.50, delivery adds 6.20, tax at 20 percent comes to "
            "12.34, and the total due by 30 November is 74.04, payable in one sum."
        ),
    ),
    "Spanish": (
        (
            "El panadero abrió la tienda antes del amanecer, encendió el horno de leña y puso sobre la mesa las "
            "cestas vacías, porque sabía que los primeros clientes llegarían con el autobús de las seis y media."
        ),
        (
            "Aunque la carretera estaba cubierta de nieve, los vecinos del valle decidieron subir a pie hasta la "
            "ermita para celebrar la fiesta, llevando mantas, pan, queso y una guitarra vieja."
        ),
    ),
    "Russian": (
        (
            "Осенью река поднялась так высоко, что старый мост закрыли, и дети из соседней деревни ездили в "
            "школу на лодке, которую каждое утро приводил молчаливый рыбак."
        ),
        (
            "Маленький музей хранит карты, часы и письма моряка, который три года искал пролив, потом вернулся "
            "домой и никогда больше не выходил в море."
        ),
    ),
    "arithmetic": (
        (
            "7 * 8 = 56; 56 / 4 = 14; 14 + 9 * 3 = 41; (41 - 5) / 6 = 6; 6 ** 3 = 216; 216 % 10 = 6; sqrt(144) = "
            "12"
        ),
        (
            "If 5 boats carry 35 people then 8 boats carry 56; 15 % of 260 is 39; half of 0.75 is 0.375 and a "
            "third of 111 is 37."
        ),
    ),
    "German": (
        (
            "Der Schornsteinfeger kam erst am Abend, weil er unterwegs noch eine Eule aus dem Kamin des "
            "Pfarrhauses befreien musste, die sich dort seit zwei Tagen weder vor noch zurück getraut hatte."
        ),
    ),
    "French": (
        (
            "Quand le facteur eut réparé la barrière, la vieille dame lui offrit un bol de soupe et lui raconta, "
            "comme chaque hiver, l'histoire du loup qui dormait sous l'escalier de l'école."
        ),
    ),
    "Portuguese": (
        (
            "O pescador guardou as redes molhadas no barracão, lavou as mãos na água fria do poço e ficou à "
            "porta a ouvir o rádio até que a chuva passasse para o outro lado da serra."
        ),
    ),
    "Turkish": (
        (
            "Köydeki saatçi dükkânını kapatınca, çocuklar bozuk saatlerini ona evinde götürdüler; o da her "
            "birini onarırken eski bir gemide geçen uzun bir masal anlattı."
        ),
    ),
    "Swahili": (
        (
            "Mama alinunua samaki wawili sokoni asubuhi, akawapika kwa nazi na pilipili, kisha akawaita majirani "
            "wote waje kula pamoja chini ya mti mkubwa wa mwembe."
        ),
    ),
    "Arabic": (
        (
            "وصل القطار متأخرا إلى المدينة الصغيرة، فجلس المسافرون في المقهى قرب المحطة يشربون الشاي الساخن "
            "وينتظرون حتى فتح الحارس باب الفندق القديم."
        ),
        (
            "زرع الرجل أشجار الزيتون على التل قبل ثلاثين سنة، واليوم يجمع أحفاده الثمار في سلال كبيرة ويحملونها "
            "إلى المعصرة في الوادي."
        ),
    ),
    "Hindi": (
        (
            "बारिश रुकते ही बच्चे नदी के किनारे दौड़े, जहाँ नाव वाला अपनी पुरानी नाव की मरम्मत कर रहा था और धीरे "
            "धीरे कोई पुराना गीत गा रहा था।"
        ),
        ("दादी ने आँगन में आम सुखाए, मसाले पीसे और पूरे साल के लिए अचार बनाया, फिर हर पड़ोसी के घर एक छोटा मर्तबान भेजा।"),
    ),
    "Chinese": (
        "清晨的集市刚刚开门，卖豆腐的老人摆好了木桌，孩子们背着书包跑过，一只黑猫跳上屋顶，远处传来钟声，雾慢慢散开，河边的船夫点起炉火，煮了一壶茶，等着第一批过河的客人。",
        "这座桥建于一百多年前，石头来自北边的山，工匠用了三年时间，桥上刻着十二只狮子，每只都不一样，冬天下雪以后，村里的人会扫出一条小路，让送信的人先走。",
    ),
    "Japanese": (
        "祖父は毎朝、庭の柿の木に水をやり、古い自転車で海まで行き、釣れた魚を隣の家に分け、昼には縁側で新聞を読み、夕方になると、遠くの灯台に明かりがつくのを、静かに待っていた。",
    ),
    "Korean": (
        (
            "할머니는 장날마다 새벽에 일어나 마늘과 고추를 작은 수레에 싣고 읍내로 가셨고, "
            "해가 지기 전에 돌아와 우리에게 따뜻한 떡을 하나씩 나누어 주셨다."
        ),
    ),
    "rare strings": (
        (
            "The list read SolidGoldMagikarp petertodd TheNitromeFan StreamerBot "
            "rawdownloadcloneembedreportprint externalToEVA PsyNetMessage guiActiveUn davidjl "
            "cloneembedreportprint attRot EStreamFrame reportprint and nothing more"
        ),
        "ÃÂÃÂ ÃÂÃÂÃÂÃÂ ¯¯¯¯ ſchloſſ ℵ₀ ⅞ ㎞ ꙮ ﷽ ₿ ‽ ⁂ ☙ ✠ 〶 ㍿ ﬃ ŉ ǆ ƿynn ȝe þorn eð ʘ ǂ ꜩ ꝏ",
        (
            "zyzzyva syzygial crwth cwtch pfennige qanat tmesis ptarmigan phthisis borborygmus "
            "floccinaucinihilipilification xenolithic quincunx ytterbium zugzwang sclerenchyma jnana gnomon "
            "mzungu nsambya tzatziki psithurism"
        ),
    ),
}
"""In the order in which they are put. Of rare strings some are known to be tokens that hardly any text holds."""
